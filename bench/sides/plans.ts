/** EXPLAIN (ANALYZE, BUFFERS) of the hot statements on the tables as they are, each undone. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { inTransaction, kyselyOver } from '../../src/db/transaction.ts';
import { type ClaimOptions, claim } from '../../src/queue/claim.ts';
import { completeSet } from '../../src/queue/complete.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import { newLowWater } from '../../src/queue/low-water.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { open, settle } from '../engine.ts';
import { explainingPool, type Plan } from '../explain.ts';
import { addPending } from '../history.ts';
import { side } from '../side.ts';

const POLICY = { maxAttempts: 3, baseSeconds: 1, maxSeconds: 10 };
const WORKER = randomUUID();
const ONE: ClaimOptions = { workerId: WORKER, limit: 1, siblings: 'together', withPayload: true };

side<{ url: string; pending: number }, Record<string, Plan>>(async ({ url, pending }) => {
  const { pool } = open(url);
  await addPending(pool, pending);
  await settle(pool);
  const plans: Plan[] = [];
  const explaining = explainingPool(pool, plans);
  await inTransaction(explaining, async (client) => {
    await queueStats(kyselyOver((text, values) => client.query(text, values)));
    const events = await claim(client, newLowWater(), ONE);
    await completeSet(client, WORKER, { events, labels: new Map([[WORKER, 'applied']]), durationMs: 1 });
  });
  await inTransaction(explaining, (client) => claim(client, newLowWater(), { ...ONE, limit: 500 }));
  const hot = [...plans];
  await loseWorker(pool);
  plans.length = 0;
  await rescue(onlyOnce(explaining), POLICY, 30).catch((error) => error === ENOUGH || Promise.reject(error));
  const [stats, claimOne, letGo, complete, claimSet] = hot;
  const named = { 'queue-stats': stats, 'claim of 1': claimOne, 'let go of 1': letGo, 'complete 1': complete };
  const [dead, leases, mark, events, giveBack] = plans;
  const rescued = {
    ...{ 'rescue: dead worker': dead, 'rescue: its leases': leases, 'rescue: mark': mark },
    ...{ 'rescue: its events': events, 'rescue: give back': giveBack },
  };
  return { ...named, 'claim of 500': claimSet, ...rescued } as Record<string, Plan>;
});

const ENOUGH = new Error('one rescue is explained');

/** A rescue that was undone would find the same dead worker again, for ever. */
function onlyOnce(pool: pg.Pool): pg.Pool {
  let used = false;
  const connect = () => {
    if (used) throw ENOUGH;
    used = true;
    return pool.connect();
  };
  return { connect: async () => connect() } as unknown as pg.Pool;
}

/** Leaves ten events in the hands of a worker whose lease has run out. */
async function loseWorker(pool: pg.Pool): Promise<void> {
  await inTransaction(pool, (client) => claim(client, newLowWater(), { ...ONE, limit: 10 }));
  await pool.query(
    `insert into tds_workers (worker_id, host, pid, expires_at, concurrency) values ($1, 'gone', 1, now() - interval '1 minute', 1)`,
    [WORKER],
  );
}
