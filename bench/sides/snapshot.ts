/** What a claim of one row reads while another session has held an old snapshot for many jobs. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { type ClaimOptions, claim } from '../../src/queue/claim.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { DONE, end, fill, open, settle } from '../engine.ts';
import { explainingPool, type Plan } from '../explain.ts';
import { side } from '../side.ts';

/** Plans of the two statements of a claim: which takes the entity, and which takes its event. */
export type Claimed = { entity: Plan; event: Plan };
export type Snapshot = { before: Claimed; after: Claimed; fromStart: Claimed };

const BATCH = 500;
const WORKER = randomUUID();
const OPTIONS = { workerId: WORKER, perEntity: 1, maxBytes: 16 << 20, from: 'head', withPayload: true } as const;
const ONE: ClaimOptions = { ...OPTIONS, limit: 1 };

side<{ url: string; jobs: number }, Snapshot>(async ({ url, jobs }) => {
  const { pool } = open(url);
  const low = new LowWater();
  await fill(pool, BATCH);
  await settle(pool);
  const before = await explainClaim(pool, low);
  const holder = await pool.connect();
  await holder.query('begin isolation level repeatable read');
  await holder.query('select from tds_queue_state');
  await fill(pool, jobs, { first: BATCH });
  await pass(pool, low);
  // The claim right after a set of 500 still reads over that set: what counts is one claim after another.
  await fill(pool, 2, { first: BATCH + jobs });
  await claim(pool, low, ONE);
  const after = await explainClaim(pool, low);
  const fromStart = await explainClaim(pool, new LowWater());
  await holder.query('rollback');
  holder.release();
  return { before, after, fromStart };
});

async function explainClaim(pool: pg.Pool, low: LowWater): Promise<Claimed> {
  const plans: Plan[] = [];
  await claim(explainingPool(pool, plans), low, ONE);
  const [entity, event] = plans;
  return { entity, event } as Claimed;
}

/** Claims and finishes until nothing is left, moving the low-water mark as a worker does. */
async function pass(pool: pg.Pool, low: LowWater): Promise<void> {
  for (;;) {
    const events = await claim(pool, low, { ...OPTIONS, limit: BATCH });
    if (events.length === 0) return;
    await end(pool, WORKER, events, DONE);
  }
}
