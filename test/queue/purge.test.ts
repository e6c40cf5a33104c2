import type { Pool, PoolClient } from 'pg';
import t from 'tap';
import { purge } from '../../src/queue/purge.ts';
import { STATUSES } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { addAged } from './aged.ts';
import { disagreements } from './agreement.ts';
import { arrive, Claimer, registerWorker, retryOne } from './engine.ts';

const { db, pool } = await testDatabase(t);
const TABLES = ['tds_sync_queue', 'tds_inbox_events', 'tds_inbox_payloads', 'tds_sync_logs'];

t.beforeEach(async () => {
  await pool.query(
    `truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_sync_logs, tds_dead_letter_queue, tds_alerts,
       tds_workers, tds_processing_totals, tds_purge_progress`,
  );
});

t.test('completed events older than the retention go with all that belongs to them, younger ones stay', async (t) => {
  await addAged(pool, { days: 31, count: 3 });
  const [young] = await addAged(pool, { days: 29 });
  t.match(await purge(pool, 30), { events: 3, logs: 3, inbox: 3 });
  t.strictSame(await counts(), [1, 1, 1, 1]);
  t.strictSame(await ids('tds_sync_queue', 'id'), [young]);
  t.strictSame(await disagreements(pool), []);
});

t.test('what waits, runs or is dead stays, whatever its age', async (t) => {
  const unfinished = STATUSES.filter((status) => status !== 'completed');
  for (const status of unfinished) await addAged(pool, { days: 400, status });
  t.match(await purge(pool, 30), { events: 0, logs: 0, inbox: 0, dead_letters: 0 });
  t.strictSame(await counts(), [4, 4, 4, 4]);
  const letters = await pool.query('select payload from tds_dead_letter_queue where resolved_at is null');
  t.strictSame(letters.rows, [{ payload: { aged: true } }]);
});

t.test('a long retention frees the dedupe keys of 30 days all the same, each once', async (t) => {
  const [old] = await addAged(pool, { days: 31 });
  const [dead] = await addAged(pool, { days: 32, status: 'dead_letter' });
  const [young] = await addAged(pool, { days: 29 });
  t.match(await purge(pool, 90), { events: 0, dedupe_keys: 2 });
  t.strictSame(await keyOf(old), null);
  t.strictSame(await keyOf(dead), null);
  t.strictSame(await keyOf(young), young, 'a repeat of it is still a repeat');

  await pool.query('update tds_inbox_events set dedupe_key = event_id where event_id = $1', [old]);
  await addAged(pool, { days: 30.5 });
  t.match(await purge(pool, 90), { dedupe_keys: 1 }, 'the next time goes on where the last one ended');
  t.match(await purge(pool, 90), { dedupe_keys: 0 });
});

t.test('a short retention keeps the inbox row and its dedupe key for 30 days', async (t) => {
  const [recent] = await addAged(pool, { days: 10 });
  t.match(await purge(pool, 7), { events: 1, logs: 1, inbox: 0 });
  t.strictSame(await counts(), [0, 1, 0, 0]);
  t.strictSame(await keyOf(recent), recent);

  const [old] = await addAged(pool, { days: 31 });
  await pool.query('delete from tds_sync_queue where id = $1', [old]);
  t.match(await purge(pool, 7), { inbox: 1 }, 'then it goes too');
  t.strictSame(await ids('tds_inbox_events', 'event_id'), [recent]);
});

t.test("what the operations guide's DELETE leaves behind goes too, once it is old", async (t) => {
  await addAged(pool, { days: 31, count: 2 });
  await addAged(pool, { days: 31, status: 'dead_letter' });
  const [retried] = await addAged(pool, { days: 31 });
  await pool.query('insert into tds_sync_logs (queue_id, attempt, status) values ($1, 2, $2)', [retried, 'completed']);
  await pool.query(
    `DELETE FROM tds_sync_queue WHERE status = 'completed' AND completed_at < NOW() - INTERVAL '30 days'`,
  );
  await pool.query(`DELETE FROM tds_sync_queue WHERE status = 'dead_letter'`);
  t.match(await purge(pool, 30), { events: 0, logs: 4, inbox: 4 });
  t.strictSame(await counts(), [0, 0, 0, 1], 'a log row of today stays');
});

t.test('resolved dead letters go when they are old, open ones and those of events that wait again stay', async (t) => {
  const [done, waiting, , recent] = await addAged(pool, { days: 400, status: 'dead_letter', count: 4 });
  for (const id of [done, waiting, recent]) await retryOne(db, id ?? '');
  await pool.query(`update tds_sync_queue set status = 'completed' where id in ($1, $2)`, [done, recent]);
  await pool.query(`update tds_dead_letter_queue set resolved_at = now() - interval '31 days' where id in ($1, $2)`, [
    done,
    waiting,
  ]);
  t.match(await purge(pool, 30), { dead_letters: 1 });
  t.strictSame((await ids('tds_dead_letter_queue', 'id')).includes(done ?? ''), false);
});

t.test('resolved alerts, old counts and workers that ended a day ago go', async (t) => {
  await pool.query(`
    insert into tds_webhook_rejections (hour, cause, path, rejections, first_at, last_at)
    select at, 'no_signature', '/', 1, at, at from generate_series(1, 3) n, lateral (select now() - n * interval '20 days' as at) a`);
  await pool.query(`
    insert into tds_alerts (rule, title, severity, message, resolved_at)
    select 'r' || n, 't', 'info', 'm', case when n < 3 then now() - n * interval '20 days' end from generate_series(1, 3) n`);
  await pool.query(`
    insert into tds_processing_totals (bucket) select now() - n * interval '20 days' from generate_series(1, 3) n`);
  await pool.query(`
    insert into tds_workers (worker_id, host, pid, expires_at, concurrency, ended_at)
    select gen_random_uuid(), 'h', n, now(), 1, case when n < 3 then now() - n * interval '20 hours' end
    from generate_series(1, 3) n`);
  t.match(await purge(pool, 30), { alerts: 1, totals: 2, workers: 1, rejections: 2 });
  t.strictSame(await ids('tds_alerts', 'rule'), ['r1', 'r3']);
  t.strictSame(await ids('tds_workers', 'pid::text'), ['1', '3']);
});

t.test('failures go with their event, and a group with its last failure', async (t) => {
  const [done] = await addAged(pool, { days: 31 });
  const [dead] = await addAged(pool, { days: 31, status: 'dead_letter' });
  for (const [id, cause] of [
    [done, 'cured'],
    [dead, 'deadly'],
  ]) {
    await pool.query(
      `insert into tds_failures (event_id, created_at, fingerprint, attempt, status, organization_id, event_type, entity_key,
         worker_id, error_tag, message)
       values ($1, now() - interval '31 days', $2, 1, 'retry', '1', 'a.b', 1, gen_random_uuid(), 'T', 'm')`,
      [id, cause],
    );
    await pool.query(
      `insert into tds_failure_groups (fingerprint, error_tag, message, place, failures, first_seen_at, last_seen_at)
       values ($1, 'T', 'm', '', 1, now() - interval '31 days', now() - interval '31 days')`,
      [cause],
    );
    await pool.query(`insert into tds_failure_hours values ($1, date_trunc('hour', now() - interval '31 days'), 1)`, [
      cause,
    ]);
  }
  t.match(await purge(pool, 30), { failures: 1, failure_groups: 1, failure_hours: 2 });
  t.strictSame(await ids('tds_failures', 'event_id'), [dead], 'why a dead letter is dead stays known');
  t.strictSame(await ids('tds_failure_groups', 'fingerprint'), ['deadly']);
});

t.test('it goes in batches that a stop ends, and the next time does the rest', async (t) => {
  await addAged(pool, { days: 40, count: 2500 });
  const stop = new AbortController();
  const watched = watch(pool, async () => stop.abort());
  t.match(await purge(watched, 30, stop.signal), { events: 1000, logs: 1000, inbox: 1000 });
  t.match(await purge(pool, 30), { events: 1500 });
  t.strictSame(await counts(), [0, 0, 0, 0]);
  t.strictSame(await disagreements(pool), []);
});

t.test('two thousand old events that stay do not keep it from those behind them', async (t) => {
  await addAged(pool, { days: 50, count: 2000, status: 'dead_letter' });
  await addAged(pool, { days: 40, count: 3 });
  t.match(await purge(pool, 30), { events: 3, logs: 3, inbox: 3 });
});

t.test('intake goes on while a batch is open, and a row that an operator holds is passed by', async (t) => {
  const [held, free] = await addAged(pool, { days: 40, count: 2 });
  const operator = await pool.connect();
  t.teardown(() => operator.release());
  await operator.query('begin');
  await operator.query('select from tds_sync_queue where id = $1 for update', [held]);
  let arrived = 0;
  const watched = watch(pool, async () => {
    arrived += (await arrive(pool, [`new-${arrived}`])).length;
  });
  t.match(await purge(watched, 30), { events: 1 });
  t.equal(arrived, 18, 'one event arrived within each transaction');
  await operator.query('rollback');
  const left = await ids('tds_sync_queue', 'id');
  t.ok(left.includes(held ?? '') && !left.includes(free ?? ''));
});

t.test('an event that an operator replays at that moment stays', async (t) => {
  const [id] = await addAged(pool, { days: 40 });
  const operator = await pool.connect();
  t.teardown(() => operator.release());
  await operator.query('begin');
  await operator.query(`update tds_sync_queue set status = 'pending' where id = $1`, [id]);
  const purged = purge(pool, 30);
  await operator.query('commit');
  t.match(await purged, { events: 0 });
  const [claimed] = await new Claimer(pool, await registerWorker(pool)).claim();
  t.equal(claimed?.id, id);
});

t.test('each statement finds its rows by index and reads no more than its batch', async (t) => {
  await addAged(pool, { days: 40, count: 1000, status: 'dead_letter' });
  await addAged(pool, { days: 40, count: 3000 });
  await addAged(pool, { days: 31, count: 1000 });
  await addAged(pool, { days: 2, count: 20_000 });
  await addEnded(10_000);
  await pool.query('analyze');
  const plans: string[] = [];
  const watched = watch(pool, async (client, text, values) => {
    await client.query('savepoint explained');
    const { rows } = await client.query<{ 'QUERY PLAN': string }>(
      `explain (analyze, buffers, costs off) ${text}`,
      values,
    );
    plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
    await client.query('rollback to explained');
  });
  await purge(watched, 30);
  t.equal(plans.length, 26, 'batches: 6 of events, 2 each of keys, inbox and logs, 14 others');
  for (const plan of plans) {
    t.notMatch(plan, /Seq Scan on tds_/);
    t.ok(rowsRead(plan) <= 5000, `${rowsRead(plan)} rows read`, { plan });
  }
});

/** So many dead letters, alerts, totals and workers that ended an hour ago. */
async function addEnded(count: number): Promise<void> {
  const rows = `from generate_series(1, ${count}) n`;
  await pool.query(`
    insert into tds_dead_letter_queue (id, organization_id, event_type, kind, attempt_count, error_tag, last_error, resolved_at)
    select gen_random_uuid(), '1', 'a.b', 'failed', 3, 'T', 'e', now() - interval '1 hour' ${rows}`);
  await pool.query(`
    insert into tds_alerts (rule, title, severity, message, resolved_at)
    select 'r', 't', 'info', 'm', now() - interval '1 hour' ${rows}`);
  await pool.query(`insert into tds_processing_totals (bucket) select now() - interval '1 hour' ${rows}`);
  await pool.query(`
    insert into tds_workers (worker_id, host, pid, expires_at, concurrency, ended_at)
    select gen_random_uuid(), 'h', n, now(), 1, now() - interval '1 hour' ${rows}`);
}

/** A pool that lets `look` see every statement of a purge within its transaction, before it runs. */
function watch(pool: Pool, look: (client: PoolClient, text: string, values: unknown[]) => Promise<unknown>): Pool {
  const connect = async () => {
    const client = await pool.connect();
    const query = async (text: string, values?: unknown[]) => {
      if (values) await look(client, text, values);
      return client.query(text, values);
    };
    return { query, release: (error?: Error) => client.release(error) };
  };
  return { connect } as unknown as Pool;
}

/** The rows that went through the scan that read most, rows thrown away by a filter included. */
function rowsRead(plan: string): number {
  const read = [...plan.matchAll(/(?:Scan[^\n]*rows=([\d.]+) loops=(\d+)|Rows Removed by Filter: (\d+))/g)];
  return Math.max(...read.map(([, rows, loops, removed]) => Number(removed ?? Number(rows) * Number(loops))));
}

async function counts(): Promise<number[]> {
  const all = TABLES.map((table) => pool.query<{ n: number }>(`select count(*)::int as n from ${table}`));
  return (await Promise.all(all)).map(({ rows }) => rows[0]?.n ?? -1);
}

async function ids(table: string, column: string): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(`select ${column} as id from ${table} order by 1`);
  return rows.map(({ id }) => id);
}

async function keyOf(id: string | undefined): Promise<string | null | undefined> {
  const { rows } = await pool.query('select dedupe_key from tds_inbox_events where event_id = $1', [id]);
  return rows[0]?.dedupe_key;
}

t.test('each kind may have a retention of its own, and tokens and sessions go as well', async (t) => {
  await pool.query(`
    insert into tds_tokens (name, role, token_sha256, created_by, created_at, expires_at, revoked_at, revoked_by)
    select 'token-' || n, 'viewer', sha256(convert_to('token' || n, 'UTF8')), 'ann', now() - interval '99 days',
      now() + interval '9 days', case when n < 3 then now() - n * interval '10 days' end, case when n < 3 then 'ann' end
    from generate_series(1, 3) n`);
  await pool.query(`
    insert into tds_sessions (session_sha256, token_sha256, expires_at)
    select sha256(convert_to('session' || n, 'UTF8')), sha256('x'), now() + n * interval '1 hour' from generate_series(-1, 1) n
    where n <> 0`);
  await pool.query(`
    insert into tds_alerts (rule, title, severity, message, fired_at, resolved_at)
    values ('of_purge', 'x', 'info', 'x', now() - interval '60 days', now() - interval '50 days')`);
  t.match(await purge(pool, { days: 30, byKind: { tokens: 15, alerts: 365 } }), { tokens: 1, sessions: 1, alerts: 0 });
  const { rows } = await pool.query('select name from tds_tokens order by name');
  t.same(rows, [{ name: 'token-1' }, { name: 'token-3' }], 'what is young or still good stays');
  t.match(await purge(pool, { days: 30, byKind: {} }), { tokens: 0, sessions: 0, alerts: 1 });
});
