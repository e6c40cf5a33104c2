import { sql } from 'kysely';
import t, { type Test } from 'tap';
import { setHistoryDays } from '../../src/handlers/history-days.ts';
import { adoptOrganization, UNNAMED_ORGANIZATION } from '../../src/inbox/adopt-organization.ts';
import { purge } from '../../src/queue/purge.ts';
import { draft, mirroring, newId, paid, sent, V1, V2, V3 } from '../handlers/mirroring.ts';
import { testDatabase } from '../helper.ts';

const { db, pool } = await testDatabase(t);
const { batch, oneByOne } = mirroring(db);

t.beforeEach(async () => {
  await pool.query('delete from books_records; truncate books_past_records');
  await setHistoryDays(db, 90);
});

type Version = { status: string; deleted: boolean; stands: boolean; valid_from: string; valid_to: string | null };

/** The versions of a record, oldest first. */
async function versions(entityId: string, organizationId = '60000000001'): Promise<Version[]> {
  const { rows } = await sql<Version>`
    select record ->> 'status' as status, deleted_at is not null as deleted, valid_to is null as stands,
      valid_from::text, valid_to::text
    from books_record_versions where entity_id = ${entityId} and organization_id = ${organizationId}
    order by valid_from, valid_to`.execute(db);
  return rows;
}

/** Each version begins when the one before ends. */
function isGapless(t: Pick<Test, 'equal'>, found: Version[]): void {
  for (const [place, { valid_to }] of found.entries()) t.equal(found[place + 1]?.valid_from ?? null, valid_to);
}

const statuses = async (entityId: string) => (await versions(entityId)).map(({ status }) => status);

t.test('every version of a record is kept with its event, and each begins when the one before ends', async (t) => {
  const entityId = newId();
  await oneByOne(
    { entityId, record: draft, version: V1 },
    { entityId, record: sent, version: V2 },
    { entityId, record: paid, version: V3 },
    { entityId, record: {}, action: 'deleted' },
    { entityId, record: sent, version: new Date(Date.now() + 60_000) },
  );
  const found = await versions(entityId);
  t.match(found, [
    { status: 'draft', deleted: false, stands: false },
    { status: 'sent', deleted: false, stands: false },
    { status: 'paid', deleted: false, stands: false },
    { status: 'paid', deleted: true, stands: false },
    { status: 'sent', deleted: false, stands: true },
  ]);
  isGapless(t, found);
  const { rows } = await sql<{ n: number }>`
    select count(distinct event_id)::int as n from books_record_versions v join tds_inbox_events using (event_id)
    where v.entity_id = ${entityId} and source = 'webhook'`.execute(db);
  t.same(rows, [{ n: 5 }]);
});

t.test('a statement typed in psql is kept too: update, upsert, move, delete, truncate', async (t) => {
  await batch({ entityId: 'a', record: draft, version: V1 }, { entityId: 'b', record: draft, version: V1 });
  await pool.query(`update books_records set record = record || '{"status":"void"}', updated_at = updated_at`);
  t.same(await statuses('a'), ['draft', 'void']);
  await pool.query(`insert into books_records (module, entity_id, organization_id, source, record)
    values ('invoice', 'a', '60000000001', 'hand', '{"status":"new"}'), ('invoice', 'c', '60000000001', 'hand', '{}')
    on conflict (module, entity_id, organization_id) do update set record = excluded.record`);
  t.same(await statuses('a'), ['draft', 'void', 'new']);
  await pool.query(`update books_records set entity_id = 'd' where entity_id = 'a'`);
  t.match(await versions('a'), [{}, {}, { status: 'new', stands: false }]);
  t.match(await versions('d'), [{ status: 'new', stands: true }]);
  await pool.query(`delete from books_records where entity_id = 'b'`);
  t.match(await versions('b'), [{ stands: false }, { status: 'void', stands: false }]);
  await pool.query('truncate books_records');
  t.match(await versions('d'), [{ status: 'new', stands: false }]);
});

t.test('what changes nothing in the record is no version, and what came before it stays one', async (t) => {
  const entityId = newId();
  await oneByOne(
    { entityId, record: draft, version: V1 },
    { entityId, record: draft, version: V1 },
    { entityId, record: { status: 'paid' }, version: V2 },
  );
  await pool.query('update books_records set updated_at = now(), event_id = null');
  t.match(await versions(entityId), [{ status: 'draft', stands: true }]);
});

t.test('a transaction that began earlier and wrote later does not turn time back', async (t) => {
  const entityId = newId();
  await batch({ entityId, record: draft, version: V1 });
  const early = await pool.connect();
  await early.query('begin; select now()');
  await batch({ entityId, record: sent, version: V2 });
  await early.query(`update books_records set record = '{"status":"late"}'`);
  await early.query('commit');
  early.release();
  const found = await versions(entityId);
  t.same(await statuses(entityId), ['draft', 'sent', 'late']);
  isGapless(t, found);
});

t.test('a set of 500 writes each version once', async (t) => {
  const events = Array.from({ length: 500 }, () => ({ entityId: newId() }));
  await batch(...events.map((event) => ({ ...event, record: draft, version: V1 })));
  await batch(...events.map((event) => ({ ...event, record: paid, version: V2 })));
  const { rows } = await pool.query(
    `select count(*)::int as n, count(distinct entity_id)::int as records, bool_and(valid_from < valid_to) as ordered
     from books_past_records where record ->> 'status' = 'draft'`,
  );
  t.same(rows, [{ n: 500, records: 500, ordered: true }]);
});

t.test('with 0 days no version is kept, and the purge deletes those that are there', async (t) => {
  const entityId = newId();
  await oneByOne({ entityId, record: draft, version: V1 }, { entityId, record: sent, version: V2 });
  await setHistoryDays(db, 0);
  await batch({ entityId, record: paid, version: V3 });
  t.same(await statuses(entityId), ['draft', 'paid'], 'what is there stays until the purge');
  t.match(await purge(pool, 30), { versions: 1 });
  t.same(await statuses(entityId), ['paid']);
  await setHistoryDays(db, 90);
  await batch({ entityId, record: {}, action: 'deleted' });
  t.match(await versions(entityId), [
    { status: 'paid', deleted: false },
    { status: 'paid', deleted: true },
  ]);
});

t.test('versions that ended longer ago than the days of history are purged, in batches', async (t) => {
  await pool.query(`
    insert into books_past_records (module, entity_id, organization_id, valid_from, valid_to, complete, received_at, source, record)
    select 'invoice', n::text, '10', now() - interval '400 days', now() - n * interval '1 hour', true, now(), 'pull', '{}'
    from generate_series(1, 4000) n`);
  await setHistoryDays(db, 60);
  t.match(await purge(pool, 30), { versions: 4000 - 60 * 24 + 1 });
  t.match(await purge(pool, 30), { versions: 0 });
});

t.test('a record that gets its organization takes its past along', async (t) => {
  const entityId = newId();
  const unnamed = { entityId, organizationId: UNNAMED_ORGANIZATION };
  await oneByOne({ ...unnamed, record: draft, version: V1 }, { ...unnamed, record: sent, version: V2 });
  await adoptOrganization(db, '60000000001');
  t.match(await versions(entityId), [
    { status: 'draft' },
    { status: 'sent', stands: false },
    { status: 'sent', stands: true },
  ]);
  t.same(await versions(entityId, UNNAMED_ORGANIZATION), []);
});

t.test('the past of one record is found by index', async (t) => {
  const { rows } = await db.transaction().execute(async (trx) => {
    await sql`set local enable_seqscan = off`.execute(trx);
    return sql<{ 'QUERY PLAN': string }>`explain select * from books_record_versions
      where module = 'invoice' and entity_id = '1' and organization_id = '10'`.execute(trx);
  });
  const plan = rows.map((row) => row['QUERY PLAN']).join('\n');
  t.match(plan, 'books_past_records_of_entity');
  t.match(plan, 'books_records_pkey');
});
