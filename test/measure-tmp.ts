import { sql } from 'kysely';
const downs: any[] = []; const t = { teardown: (f: any) => downs.unshift(f), pass() {} };
import { testDatabase } from '/work/helpers/errors/test/helper.ts';
const { db, pool } = await testDatabase(t);
const q = async (text: string) => (await pool.query(text)).rows;
pool.options.query_timeout = 0;
const client = await pool.connect();
await client.query('set statement_timeout = 0');
(client as any).connectionParameters.query_timeout = 0;
console.error('load');
await client.query({ text: `insert into tds_failures (event_id, created_at, fingerprint, attempt, status, organization_id, event_type, entity_id, entity_key, worker_id, handler, error_tag, message, stack, causes)
 select gen_random_uuid(), now() - n * interval '2 seconds', left(md5((n % 50)::text), 16), 1 + n % 3, 'retry', '1', 'invoice.updated', (n % 100000)::text, n % 100000, gen_random_uuid(), 'crm', 'TimeoutError', 'm', repeat('    at handle (file:///srv/tds/handlers/crm.ts:12:11)' || chr(10), 12), '[{"name":"Error","message":"m","status":503}]'
 from generate_series(1, 1000000) n`, query_timeout: 0 } as any);
await client.query(`insert into tds_failure_groups (fingerprint, error_tag, message, place, failures, first_seen_at, last_seen_at)
 select fingerprint, 'TimeoutError', 'm', 'p', count(*), min(created_at), max(created_at) from tds_failures group by 1`);
await client.query(`insert into tds_failure_hours select fingerprint, date_trunc('hour', created_at), count(*) from tds_failures group by 1, 2`);
await client.query('vacuum analyze tds_failures'); await client.query('vacuum analyze tds_failure_groups'); await client.query('vacuum analyze tds_failure_hours');
const captured: { text: string; values: unknown[] }[] = [];
import { Kysely, PostgresDialect } from 'kysely';
const { failureGroups, failureGroup } = await import('/work/helpers/errors/src/monitor/errors/groups.ts');
const { groupDeadLetters } = await import('/work/helpers/errors/src/monitor/dead-letter-groups.ts');
const { eventStory } = await import('/work/helpers/errors/src/monitor/story/event.ts');
const { entityStory } = await import('/work/helpers/errors/src/monitor/story/entity.ts');
const spy = new Kysely<any>({ dialect: new PostgresDialect({ pool }), log: (e) => { if (e.level === 'query') captured.push({ text: e.query.sql, values: e.query.parameters as unknown[] }); } });
async function explain(name: string, run: () => Promise<unknown>) {
  captured.length = 0;
  const began = performance.now(); await run(); const ms = performance.now() - began;
  for (const { text, values } of captured.filter((c) => /^\s*(select|with)/i.test(c.text) && !/advisory/.test(c.text) && !/delete from/.test(c.text))) {
    const { rows } = await pool.query(`explain (analyze, buffers) ${text}`, values as any[]);
    const plan = rows.map((r: any) => r['QUERY PLAN']);
    console.error(name, ms.toFixed(1), 'ms;', plan.find((l: string) => /Buffers/.test(l))?.trim(), plan.at(-1).trim(), plan.filter((l: string) => /Seq Scan|Heap Fetches/.test(l)).map((l: string) => l.trim()).join(' | '));
  }
}
await explain('errors limit 50', () => failureGroups(spy, { limit: 50 }));
await explain('errors limit 50', () => failureGroups(spy, { limit: 50 }));
const fp = (await q('select fingerprint from tds_failure_groups limit 1'))[0].fingerprint;
await explain('one group', () => failureGroup(spy, fp, 50));
const id = (await q('select event_id from tds_failures limit 1'))[0].event_id;
console.error(await q(`select pg_size_pretty(pg_total_relation_size('tds_failures')) total, pg_size_pretty(pg_relation_size('tds_failures')) heap, pg_size_pretty(pg_relation_size('tds_failures_fingerprint')) fp, pg_size_pretty(pg_relation_size('tds_failures_pkey')) pk`));
// Stories: a million events
async function arriveMillion() {
  for (const [name, drop] of [['without', true], ['with', false], ['without', true], ['with', false]] as const) {
    await client.query('truncate tds_sync_queue, tds_queue_waiting, tds_queue_counts');
    await client.query(drop ? 'drop index if exists tds_sync_queue_entity' : 'create index if not exists tds_sync_queue_entity on tds_sync_queue (entity_key, arrival)');
    await client.query('checkpoint');
    const lsn = (await client.query('select pg_current_wal_insert_lsn() l')).rows[0].l;
    const began = performance.now();
    for (let n = 0; n < 200; n += 1) await client.query(`insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id) select gen_random_uuid(), tds_entity_key('1', 'invoice', (n % 50000)::text, null), '1', 'invoice.updated', (n % 50000)::text from generate_series(1, 500) n0, lateral (select (random() * 50000)::int as n where n0 > 0) r`);
    const ms = performance.now() - began;
    const wal = (await client.query(`select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1) d, pg_size_pretty(pg_relation_size('tds_sync_queue')) q`, [lsn])).rows[0];
    console.error(name, 'index: 100,000 events in sets of 500:', ms.toFixed(0), 'ms, WAL per event', (wal.d / 100000).toFixed(0), 'queue', wal.q, drop ? '' : (await client.query(`select pg_size_pretty(pg_relation_size('tds_sync_queue_entity')) s`)).rows[0].s);
  }
}
for (const d of [client]) d.release(); for (const d of downs) await d(); process.exit(0);
await client.query('analyze tds_sync_queue');
await explain('event story', async () => { const i = (await q('select id from tds_sync_queue limit 1'))[0].id; captured.length = 0; await eventStory(spy, i); });
await explain('entity story', () => entityStory(spy, { organizationId: '1', module: 'invoice', entityId: '77' }, { limit: 50 }));
await client.query(`insert into tds_dead_letter_queue (id, organization_id, event_type, entity_id, kind, attempt_count, error_tag, last_error) select event_id, '1', 'a.b', '1', 'failed', 3, 'T', 'm' from tds_failures limit 10000`);
await client.query('analyze tds_dead_letter_queue');
await explain('10,000 dead letters by cause', () => groupDeadLetters(spy, 100));
client.release();
t.pass();
