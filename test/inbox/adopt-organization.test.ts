import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import t from 'tap';
import { adoptOrganization, countUnnamed, UNNAMED_ORGANIZATION } from '../../src/inbox/adopt-organization.ts';
import { type InboxEvent, inboxEvent } from '../factory.ts';
import { draft, LATER, mirroring, newId, paid, sent, V1, V2, V3 } from '../handlers/mirroring.ts';
import { testDatabase, waitFor } from '../helper.ts';

const { db, pool, url } = await testDatabase(t);
const { batch } = mirroring(db);

const OURS = '60000000001';
const unnamed = { organizationId: UNNAMED_ORGANIZATION };

t.beforeEach(() => pool.query('truncate books_records, tds_inbox_events, tds_inbox_payloads, tds_sync_queue'));

/** An event of the inbox with its queue row. */
async function queued(event: InboxEvent, status = 'pending'): Promise<string> {
  const { id: eventId } = await inboxEvent(db, event);
  await pool.query(
    `insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status, lease, started_at)
     select event_id, tds_entity_key(organization_id, module, entity_id, event_id), organization_id, event_type, entity_id,
       $2, case when $2 = 'processing' then gen_random_uuid() end, case when $2 = 'processing' then now() end
     from tds_inbox_events where event_id = $1`,
    [eventId, status],
  );
  return eventId;
}

async function records() {
  const { rows } = await pool.query(
    `select organization_id, entity_id, record ->> 'status' as status, complete, stale_since is not null as stale,
       deleted_at is not null as deleted from books_records order by entity_id, organization_id`,
  );
  return rows;
}

t.test('events and their queue rows get the organization, and the entity key that follows from it', async (t) => {
  for (let n = 0; n < 1200; n++) await queued({ ...unnamed, entityId: newId(), record: draft });
  const entityId = newId();
  await queued({ organizationId: '70000000001', entityId, record: draft });
  t.match(await adoptOrganization(db, OURS), { events: 1200, left: 0 });
  const { rows } = await pool.query(
    `select q.organization_id, e.organization_id as inbox, count(*)::int as n,
       bool_and(entity_key = tds_entity_key(e.organization_id, e.module, e.entity_id, e.event_id)) as keyed
     from tds_sync_queue q join tds_inbox_events e on e.event_id = q.id group by 1, 2 order by 1`,
  );
  t.same(rows, [
    { organization_id: OURS, inbox: OURS, n: 1200, keyed: true },
    { organization_id: '70000000001', inbox: '70000000001', n: 1, keyed: true },
  ]);
});

t.test('an event that is being processed stays for the next run', async (t) => {
  const held = await queued({ ...unnamed, entityId: newId(), record: draft }, 'processing');
  await queued({ ...unnamed, entityId: newId(), record: draft });
  t.match(await adoptOrganization(db, OURS), { events: 1, left: 1 });
  await pool.query("update tds_sync_queue set status = 'pending', lease = null where id = $1", [held]);
  t.match(await adoptOrganization(db, OURS), { events: 1, left: 0 });
});

t.test('it waits for a claim that is being made', async (t) => {
  await queued({ ...unnamed, entityId: newId(), record: draft });
  const claim = await pool.connect();
  await claim.query('begin; lock table tds_queue_claims in row exclusive mode');
  const adopting = adoptOrganization(db, OURS);
  await waitFor('the batch to wait for the claim', async () => {
    const waits = "select from pg_locks where relation = 'tds_queue_claims'::regclass and not granted";
    return ((await pool.query(waits)).rowCount ?? 0) > 0;
  });
  await claim.query("update tds_sync_queue set status = 'processing', lease = gen_random_uuid(), started_at = now()");
  await claim.query('commit');
  claim.release();
  t.match(await adopting, { events: 0, left: 1 });
});

t.test('a record that the organization lacks moves with all that is known of it', async (t) => {
  const [full, part, gone] = [newId(), newId(), newId()];
  await batch(
    { ...unnamed, entityId: full, record: draft, version: V1 },
    { ...unnamed, entityId: full, record: { status: 'paid' }, version: V2 },
    { ...unnamed, entityId: part, record: { status: 'sent' } },
    { ...unnamed, entityId: gone, record: paid, action: 'deleted' },
  );
  const all = () =>
    pool.query('select *, null as valid_from from books_records order by entity_id').then(({ rows }) => rows);
  const before = await all();
  t.match(await adoptOrganization(db, OURS), { records: 3, merged: 0 });
  t.same(
    await all(),
    before.map((row) => ({ ...row, organization_id: OURS })),
  );
});

t.test('of two rows of one record the newer wins, and neither makes the other poorer', async (t) => {
  const one = () => ({ entityId: newId() });
  const [older, newer, fuller, partial, told, removed] = [one(), one(), one(), one(), one(), one()];
  const named = { organizationId: OURS };
  await batch(
    { ...older, ...named, record: paid, version: V2 },
    { ...older, ...unnamed, record: draft, version: V1 },
    { ...newer, ...named, record: draft, version: V1 },
    { ...newer, ...unnamed, record: paid, version: V2 },
    { ...fuller, ...named, record: { status: 'void' }, version: V2 },
    { ...fuller, ...unnamed, record: draft, version: V2 },
    { ...partial, ...named, record: draft, version: V1 },
    { ...partial, ...unnamed, record: { status: 'paid' }, version: V2 },
    { ...told, ...named, record: sent, version: V2 },
    { ...told, ...unnamed, record: draft, version: V1 },
    { ...told, ...unnamed, record: { status: 'paid' }, version: V3 },
    { ...removed, ...named, record: sent, version: V2, receivedAt: V3 },
    { ...removed, ...unnamed, record: {}, action: 'deleted', receivedAt: LATER },
  );
  t.match(await countUnnamed(db, OURS), { records: 0, merged: 6 });
  t.match(await adoptOrganization(db, OURS), { records: 0, merged: 6 });
  const expected = { organization_id: OURS, complete: true, stale: false, deleted: false };
  t.match(await records(), [
    { ...expected, status: 'paid' },
    { ...expected, status: 'paid' },
    { ...expected, status: 'draft' },
    { ...expected, status: 'draft', stale: true },
    { ...expected, status: 'sent', stale: true },
    { ...expected, status: 'sent', deleted: true },
  ]);
  t.equal((await records()).length, 6);
});

t.test('the command says what it would do, does it, and finds nothing the second time', async (t) => {
  const entityId = newId();
  await queued({ ...unnamed, entityId, record: draft });
  await batch({ ...unnamed, entityId, record: draft, version: V1 });
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['src/inbox/adopt-organization.ts', ...args], {
      env: { ...process.env, DATABASE_URL: url },
    });
  t.match((await run(OURS, '--dry-run')).stdout, /to be moved from default to 60000000001: 2 events, 1 records; 0 /);
  t.match(await records(), [{ organization_id: UNNAMED_ORGANIZATION }]);
  t.match((await run(OURS)).stdout, /moved to 60000000001: 2 events, 1 records/);
  t.match((await run(OURS)).stdout, /moved to 60000000001: 0 events, 0 records/);
  for (const args of [[], [UNNAMED_ORGANIZATION], ['', '--dry-run'], [OURS, OURS], [OURS, '--wrong']])
    await t.rejects(run(...args), { code: 1 });
});
