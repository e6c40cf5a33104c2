import { sql } from 'kysely';
import t from 'tap';
import type { Database } from '../../../src/db/database.ts';
import { CounterWriter } from '../../../src/monitor/prometheus/counter-writer.ts';
import { ProcessMetrics } from '../../../src/monitor/prometheus/process-metrics.ts';
import { testDatabase } from '../../helper.ts';

const { db } = await testDatabase(t);
t.beforeEach(() => db.deleteFrom('tds_counters').execute());

const LABELS = { method: 'GET', route: '/health', status: '200' };

function newProcess(over: Database = db) {
  const metrics = new ProcessMetrics();
  const writer = new CounterWriter({ db: over, metrics, service: 'tds-core-api' });
  const count = (times: number) => metrics.count('http_requests_total', LABELS, times);
  return { metrics, count, write: () => writer.write() };
}

async function total(name = 'http_requests_total'): Promise<number> {
  const rows = await db.selectFrom('tds_counters').select('value').where('name', '=', name).execute();
  return rows.reduce((sum, { value }) => sum + value, 0);
}

t.test('several processes, one after the other and at once, add to the same counters', async (t) => {
  const processes = [newProcess(), newProcess(), newProcess()];
  for (const { count } of processes) count(2);
  await Promise.all(processes.map(({ write }) => write()));
  t.equal(await total(), 6);
  processes[0]?.count(1);
  await Promise.all(processes.flatMap(({ write }) => [write(), write()]));
  t.equal(await total(), 7, 'only what is new is added');
  const restarted = newProcess();
  restarted.count(1);
  await restarted.write();
  t.equal(await total(), 8, 'a process that begins at zero takes nothing back');
});

t.test('an addition whose answer was lost is added once', async (t) => {
  let answers = false;
  const lossy = new Proxy(db, {
    get(target, name) {
      if (name !== 'getExecutor') return Reflect.get(target, name);
      const executor = target.getExecutor();
      const executeQuery: typeof executor.executeQuery = async (query, ...rest) => {
        const result = await executor.executeQuery(query, ...rest);
        if (!answers && query.sql.includes('tds_counters')) throw new Error('Connection terminated unexpectedly');
        return result as never;
      };
      return () => new Proxy(executor, { get: (on, key) => (key === 'executeQuery' ? executeQuery : bound(on, key)) });
    },
  });
  const { count, write } = newProcess(lossy);
  count(3);
  await t.rejects(write(), /Connection terminated/);
  count(4);
  await t.rejects(write(), /Connection terminated/);
  t.equal(await total(), 3);
  answers = true;
  await write();
  t.equal(await total(), 7);
});

function bound(target: object, key: PropertyKey): unknown {
  const value = Reflect.get(target, key);
  return typeof value === 'function' ? value.bind(target) : value;
}

t.test('what could not be added waits for the next time', async (t) => {
  const { count, write } = newProcess();
  count(2);
  await sql`alter table tds_counters rename to tds_counters_away`.execute(db);
  await t.rejects(write());
  await sql`alter table tds_counters_away rename to tds_counters`.execute(db);
  count(3);
  await write();
  t.equal(await total(), 5);
});

t.test('a histogram is added with its buckets, sum and count', async (t) => {
  const { metrics, write } = newProcess();
  for (const seconds of [0.002, 0.2, 99])
    metrics.observe('database_query_duration_seconds', { pool: 'queue' }, seconds);
  await write();
  t.equal(await total('database_query_duration_seconds_count'), 3);
  t.equal(await total('database_query_duration_seconds_sum'), 99.202);
  const { rows } = await sql<{ le: string; value: number }>`
    select labels ->> 'le' as le, value from tds_counters
    where name = 'database_query_duration_seconds_bucket' and labels ->> 'le' in ('0.005', '0.25', '+Inf')
    order by value`.execute(db);
  t.same(rows, [
    { le: '0.005', value: 1 },
    { le: '0.25', value: 2 },
    { le: '+Inf', value: 3 },
  ]);
});

t.test('no statement can put a counter back', async (t) => {
  const { count, write } = newProcess();
  count(5);
  await write();
  await t.rejects(sql`update tds_counters set value = value - 1`.execute(db), /must not go back from 5 to 4/);
  t.equal(await total(), 5);
});

t.test('a row tells how the process is', async (t) => {
  await db.deleteFrom('tds_processes').execute();
  await newProcess().write();
  const row = await db.selectFrom('tds_processes').selectAll().executeTakeFirstOrThrow();
  t.match(row, { service: 'tds-core-api', batch: '1' });
  t.ok(Number(row.resident_bytes) > 10_000_000);
  t.ok(row.event_loop_lag_seconds >= 0);
});

t.test('a process that starts forgets those that have been silent for a day', async (t) => {
  await sql`update tds_processes set seen_at = now() - interval '25 hours'`.execute(db);
  await newProcess().write();
  t.equal((await db.selectFrom('tds_processes').selectAll().execute()).length, 1);
});
