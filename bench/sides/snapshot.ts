/** What a claim of one row reads while another session has held an old snapshot for many jobs. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { inTransaction } from '../../src/db/transaction.ts';
import { claim } from '../../src/queue/claim.ts';
import { completeSet } from '../../src/queue/complete.ts';
import { type LowWater, newLowWater } from '../../src/queue/low-water.ts';
import { fill, open, settle } from '../engine.ts';
import { explainingPool, type Plan } from '../explain.ts';
import { side } from '../side.ts';

export type Snapshot = { before: Plan; after: Plan; fromStart: Plan };

const BATCH = 500;
const WORKER = randomUUID();
const OPTIONS = { workerId: WORKER, siblings: 'together', withPayload: true } as const;

side<{ url: string; jobs: number }, Snapshot>(async ({ url, jobs }) => {
  const { pool } = open(url);
  const low = newLowWater();
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
  await inTransaction(pool, (client) => claim(client, low, { ...OPTIONS, limit: 1 }));
  const after = await explainClaim(pool, low);
  const fromStart = await explainClaim(pool, newLowWater());
  await holder.query('rollback');
  holder.release();
  return { before, after, fromStart };
});

async function explainClaim(pool: pg.Pool, low: LowWater): Promise<Plan> {
  const plans: Plan[] = [];
  const marks = { ...low };
  await inTransaction(explainingPool(pool, plans), (client) => claim(client, marks, { ...OPTIONS, limit: 1 }));
  return plans[0] as Plan;
}

/** Claims and finishes until nothing is left, moving the low-water marks as a worker does. */
async function pass(pool: pg.Pool, low: LowWater): Promise<void> {
  for (let left = true; left; ) {
    left = await inTransaction(pool, async (client) => {
      const events = await claim(client, low, { ...OPTIONS, limit: BATCH });
      if (events.length > 0) await completeSet(client, WORKER, { events, labels: new Map(), durationMs: 1 });
      return events.length > 0;
    });
  }
}
