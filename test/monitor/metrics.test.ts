import { sql } from 'kysely';
import t from 'tap';
import { readMetrics } from '../../src/monitor/metrics.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, RELEASED, registerWorker } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const waits = (seconds: number): Outcome => ({ kind: 'released', seconds, tag: 'RateLimitError', message: 'wait' });
const failed = (permanent: boolean): Outcome => ({ kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent });

const oldestAge = async () => (await readMetrics(db)).queue.oldest_pending_age_seconds;

t.beforeEach(async () => {
  await sql`truncate tds_sync_queue, tds_processing_totals, tds_workers`.execute(db);
});

t.test('workers are counted while they live', async (t) => {
  t.strictSame((await readMetrics(db)).workers, { alive: 0, oldest_heartbeat_age_seconds: null, in_flight: 0 });
  await registerWorker(pool);
  await registerWorker(pool);
  await sql`update tds_workers set in_flight = 3, heartbeat_at = now() - interval '20 seconds'`.execute(db);
  await sql`update tds_workers set heartbeat_at = now() where worker_id = (
    select worker_id from tds_workers limit 1)`.execute(db);
  await registerWorker(pool, -1);
  const ended = await registerWorker(pool);
  await sql`update tds_workers set ended_at = now(), in_flight = 9, heartbeat_at = now() - interval '1 hour'
            where worker_id = ${ended}`.execute(db);
  const { workers } = await readMetrics(db);
  t.match(workers, { alive: 2, in_flight: 6 });
  const age = workers.oldest_heartbeat_age_seconds ?? -1;
  t.ok(age >= 20 && age < 60, `${age} s`);
});

t.test('the oldest pending event counts also while it waits for its time to run', async (t) => {
  t.equal(await oldestAge(), 0, 'nothing waits');
  const [old] = await arrive(pool, ['a', 'b']);
  await sql`update tds_sync_queue set queued_at = now() - interval '10 minutes' where id = ${old}`.execute(db);
  const claimer = new Claimer(pool, await registerWorker(pool));
  await claimer.end(await claimer.claim({ limit: 1 }), waits(3600));
  const { rows } = await sql`select due from tds_queue_waiting where id = ${old}`.execute(db);
  t.strictSame(rows, [{ due: false }], 'it waits');
  const age = await oldestAge();
  t.ok(age >= 600 && age < 660, `${age} s`);
});

t.test('the oldest pending event counts whatever its priority', async (t) => {
  const [old] = await arrive(pool, ['c', 'd']);
  await sql`update tds_sync_queue set priority = 9, queued_at = now() - interval '10 minutes'
            where id = ${old}`.execute(db);
  const age = await oldestAge();
  t.ok(age >= 600 && age < 660, `${age} s`);
});

t.test('an event that was set back to wait has waited since then, and hides no older one', async (t) => {
  const [retried, old] = await arrive(pool, ['r1', 'r2']);
  await sql`update tds_sync_queue set queued_at = now() - interval '3 days' where id = ${retried}`.execute(db);
  await sql`update tds_sync_queue set status = 'dead_letter', error_message = 'no' where id = ${retried}`.execute(db);
  await sql`update tds_sync_queue set status = 'pending' where id = ${retried}`.execute(db);
  const alone = await oldestAge();
  t.ok(alone < 60, `${alone} s`);
  await sql`update tds_sync_queue set requeued_at = now() - interval '20 minutes' where id = ${retried}`.execute(db);
  const waited = await oldestAge();
  t.ok(waited >= 1200 && waited < 1260, `${waited} s`);
  await sql`update tds_sync_queue set queued_at = now() - interval '1 hour' where id = ${old}`.execute(db);
  const withOlder = await oldestAge();
  t.ok(withOlder >= 3600 && withOlder < 3660, `${withOlder} s`);
});

t.test('an event in retry is not pending, whether it waits or may run', async (t) => {
  await arrive(pool, ['e1', 'e2']);
  const claimer = new Claimer(pool, await registerWorker(pool));
  const [first, second] = await claimer.claim();
  await claimer.end(first ? [first] : [], failed(false));
  await claimer.end(second ? [second] : [], { ...failed(false), retryAfterSeconds: 3600 } as Outcome);
  const { rows } = await sql`select status, due from tds_queue_waiting order by due`.execute(db);
  t.strictSame(rows, [
    { status: 'retry', due: false },
    { status: 'retry', due: true },
  ]);
  t.equal(await oldestAge(), 0);
});

t.test('the success rate counts attempts, and not what was given back', async (t) => {
  await arrive(pool, ['f', 'g', 'h']);
  const claimer = new Claimer(pool, await registerWorker(pool));
  const [f, g, h] = (await claimer.claim()).map((event) => [event]);
  await claimer.end(f ?? [], failed(false));
  await claimer.end(await claimer.claim({ limit: 1 }));
  await claimer.end(g ?? [], failed(true));
  await claimer.end(h ?? [], RELEASED);
  const { last_hour } = (await readMetrics(db)).processing;
  t.match(last_hour, { total_processed: 3, succeeded: 1, failed: 2, success_rate_percent: 33.33 });
});
