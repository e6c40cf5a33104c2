/** EXPLAIN (ANALYZE, BUFFERS) of the hot statements on the tables as they are, each undone. */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { inTransaction, kyselyOver } from '../../src/db/transaction.ts';
import { type ClaimOptions, claim, newLowWater } from '../../src/queue/claim.ts';
import { finish } from '../../src/queue/finish.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import { rescue } from '../../src/queue/rescue.ts';
import { transition } from '../../src/queue/state.ts';
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
    const end = transition(0, { kind: 'succeeded', label: 'applied' }, POLICY);
    await finish(
      client,
      WORKER,
      events.map((event) => ({ event, transition: end, durationMs: 1 })),
    );
  });
  await inTransaction(explaining, (client) => claim(client, newLowWater(), { ...ONE, limit: 500 }));
  const hot = [...plans];
  await loseWorker(pool);
  plans.length = 0;
  await rescue(onlyOnce(explaining), POLICY, 30).catch((error) => error === ENOUGH || Promise.reject(error));
  const named = { 'queue-stats': hot[0], 'claim of 1': hot[1], 'finish of 1': hot[2], 'claim of 500': hot[3] };
  const rescued = { 'rescue: dead worker': plans[0], 'rescue: its events': plans[1], 'rescue: give back': plans[2] };
  return { ...named, ...rescued } as Record<string, Plan>;
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
