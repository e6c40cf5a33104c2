import { sql } from 'kysely';
import t from 'tap';
import type { HandlerContext, QueuedEvent } from '../../src/handlers/handler.ts';
import { mirror } from '../../src/handlers/mirror.ts';
import { type InboxEvent, inboxEvent } from '../factory.ts';
import { silentLog, testDatabase, waitFor } from '../helper.ts';

const { db } = await testDatabase(t);

const V1 = '2026-06-09T09:46:25-0400';
const V2 = '2026-06-09T09:47:43-0400';
const V3 = '2026-06-09T09:48:00-0400';
/** Zoho says 09:47:43 for whatever happens until 09:47:44. */
const WITHIN_V2 = '2026-06-09T09:47:43.250-0400';
const AFTER_V2 = '2026-06-09T09:47:50-0400';
const LATER = '2026-06-09T10:00:00-0400';

const draft = { invoice_id: '1', status: 'draft', total: 598 };
const sent = { ...draft, status: 'sent' };
const paid = { ...draft, status: 'paid' };

let ids = 0;
const newId = () => String(3950000000203000 + ++ids);

async function handle(events: QueuedEvent[], trx?: HandlerContext['trx']): Promise<(string | undefined)[]> {
  if (!trx) return db.transaction().execute((own) => handle(events, own));
  const outcomes = await mirror.handleBatch?.(events, { trx, signal: new AbortController().signal, log: silentLog });
  return events.map((event) => outcomes?.get(event.id));
}

async function arrive(...events: InboxEvent[]): Promise<QueuedEvent[]> {
  const queued: QueuedEvent[] = [];
  for (const event of events) queued.push(await inboxEvent(db, event));
  return queued;
}

/** Stores the events and mirrors them as one batch. */
async function batch(...events: InboxEvent[]) {
  return handle(await arrive(...events));
}

/** Mirrors the events one after the other. */
async function oneByOne(...events: InboxEvent[]) {
  const outcomes = [];
  for (const event of events) outcomes.push(...(await batch(event)));
  return outcomes;
}

async function stored(entityId: string) {
  const row = await db.selectFrom('books_records').selectAll().where('entity_id', '=', entityId).executeTakeFirst();
  return row && { status: (row.record as typeof draft).status, deleted: row.deleted_at !== null, version: row.version };
}

t.test('a new record is inserted, with or without a version', async (t) => {
  const [versioned, bare] = [newId(), newId()];
  t.same(await batch({ entityId: versioned, record: draft, version: V1 }, { entityId: bare, record: draft }), [
    'applied',
    'applied',
  ]);
  t.same(await stored(versioned), { status: 'draft', deleted: false, version: new Date(V1) });
  t.same(await stored(bare), { status: 'draft', deleted: false, version: null });
});

t.test('a newer version replaces the whole record', async (t) => {
  const entityId = newId();
  const record = { invoice_id: '1', status: 'paid' };
  t.same(await oneByOne({ entityId, record: draft, version: V1 }, { entityId, record, version: V2 }), [
    'applied',
    'applied',
  ]);
  const row = await db
    .selectFrom('books_records')
    .select('record')
    .where('entity_id', '=', entityId)
    .executeTakeFirst();
  t.same(row?.record, record);
});

t.test('an older version never overwrites a newer one', async (t) => {
  const entityId = newId();
  t.same(await oneByOne({ entityId, record: paid, version: V2 }, { entityId, record: draft, version: V1 }), [
    'applied',
    'stale',
  ]);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('a repeat changes nothing, not even the time of the last change', async (t) => {
  const entityId = newId();
  await batch({ entityId, record: draft, version: V1 });
  const before = await db.selectFrom('books_records').selectAll().where('entity_id', '=', entityId).execute();
  t.same(await batch({ entityId, record: draft, version: V1 }), ['unchanged']);
  t.same(await db.selectFrom('books_records').selectAll().where('entity_id', '=', entityId).execute(), before);
});

t.test('at equal versions the later received record wins', async (t) => {
  const entityId = newId();
  t.same(await oneByOne({ entityId, record: sent, version: V1 }, { entityId, record: paid, version: V1 }), [
    'applied',
    'applied',
  ]);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('at equal versions a record received earlier, but processed later, loses', async (t) => {
  const entityId = newId();
  const outcomes = await oneByOne(
    { entityId, record: paid, version: V1, receivedAt: LATER },
    { entityId, record: sent, version: V1, receivedAt: AFTER_V2 },
  );
  t.same(outcomes, ['applied', 'stale']);
});

t.test('at equal versions a record that lacks a field is a hint', async (t) => {
  const entityId = newId();
  const part = { invoice_id: '1', status: 'paid' };
  t.same(await oneByOne({ entityId, record: draft, version: V1 }, { entityId, record: part, version: V1 }), [
    'applied',
    'hint',
  ]);
  t.match(await stored(entityId), { status: 'draft' });
});

t.test('a record without a version is a hint once there is a row', async (t) => {
  const entityId = newId();
  t.same(await oneByOne({ entityId, record: draft, version: V1 }, { entityId, record: paid }), ['applied', 'hint']);
  t.match(await stored(entityId), { status: 'draft' });
});

t.test('a record with a version replaces one without', async (t) => {
  const entityId = newId();
  t.same(await oneByOne({ entityId, record: draft }, { entityId, record: paid, version: V1 }), ['applied', 'applied']);
  t.match(await stored(entityId), { status: 'paid', version: new Date(V1) });
});

t.test('a body with nothing but ids neither inserts nor overwrites', async (t) => {
  const entityId = newId();
  const pointer = { event: 'invoice.updated', organization_id: '60000000001', invoice_id: entityId };
  t.same(await batch({ entityId, record: pointer }), ['hint']);
  t.equal(await stored(entityId), undefined);
  const dated = { ...pointer, last_modified_time: V2 };
  t.same(await oneByOne({ entityId, record: draft, version: V1 }, { entityId, record: dated, version: V2 }), [
    'applied',
    'hint',
  ]);
  t.match(await stored(entityId), { status: 'draft' });
});

t.test('a delete leaves a tombstone that keeps the record and its own time of arrival', async (t) => {
  const entityId = newId();
  const remove = { entityId, record: { invoice_id: entityId }, action: 'deleted', receivedAt: LATER };
  t.same(await oneByOne({ entityId, record: paid, version: V2 }, remove), ['applied', 'applied']);
  t.same(await stored(entityId), { status: 'paid', deleted: true, version: new Date(LATER) });
});

t.test('a delete of a record that never arrived leaves a tombstone too', async (t) => {
  const entityId = newId();
  t.same(await batch({ entityId, record: draft, version: V1, action: 'deleted', receivedAt: LATER }), ['applied']);
  t.same(await stored(entityId), { status: 'draft', deleted: true, version: new Date(LATER) });
});

t.test('a repeated delete changes nothing', async (t) => {
  const entityId = newId();
  const remove = { entityId, record: { invoice_id: entityId }, action: 'deleted' };
  t.same(await oneByOne({ ...remove, receivedAt: V3 }, { ...remove, receivedAt: LATER }), ['applied', 'unchanged']);
  t.match(await stored(entityId), { version: new Date(V3) });
});

t.test('a stale update does not revive a deleted record', async (t) => {
  const entityId = newId();
  const outcomes = await oneByOne(
    { entityId, record: paid, version: V2, receivedAt: V2 },
    { entityId, record: {}, action: 'deleted', receivedAt: AFTER_V2 },
    { entityId, record: sent, version: V1, receivedAt: LATER },
    { entityId, record: paid, version: V2, receivedAt: LATER },
    { entityId, record: paid, receivedAt: LATER },
  );
  t.same(outcomes, ['applied', 'applied', 'stale', 'stale', 'hint']);
  t.match(await stored(entityId), { deleted: true });
});

t.test('an update of the very second of the delete does not revive the record', async (t) => {
  for (const receivedAt of [V2, WITHIN_V2]) {
    const entityId = newId();
    const outcomes = await oneByOne(
      { entityId, record: draft, version: V1, receivedAt: V1 },
      { entityId, record: {}, action: 'deleted', receivedAt },
      { entityId, record: paid, version: V2, receivedAt: LATER },
    );
    t.same(outcomes, ['applied', 'applied', 'stale']);
  }
});

t.test('an update newer than the delete revives the record', async (t) => {
  const entityId = newId();
  const outcomes = await oneByOne(
    { entityId, record: sent, version: V1 },
    { entityId, record: {}, action: 'deleted', receivedAt: AFTER_V2 },
    { entityId, record: paid, version: V3, receivedAt: LATER },
  );
  t.same(outcomes, ['applied', 'applied', 'applied']);
  t.same(await stored(entityId), { status: 'paid', deleted: false, version: new Date(V3) });
});

t.test('a delete that is processed after the record lives again is stale', async (t) => {
  const entityId = newId();
  const outcomes = await oneByOne(
    { entityId, record: paid, version: V3, receivedAt: LATER },
    { entityId, record: {}, action: 'deleted', receivedAt: AFTER_V2 },
  );
  t.same(outcomes, ['applied', 'stale']);
});

t.test("a delete beats what arrived before it, even when Zoho's clock is ahead of ours", async (t) => {
  const entityId = newId();
  const outcomes = await batch(
    { entityId, record: paid, version: V3, receivedAt: V2 },
    { entityId, record: {}, action: 'deleted', receivedAt: AFTER_V2 },
  );
  t.same(outcomes, ['superseded', 'applied']);
  t.same(await stored(entityId), { status: 'paid', deleted: true, version: new Date(V3) });
  t.same(await batch({ entityId, record: paid, version: V3, receivedAt: LATER }), ['stale']);
});

t.test('of one entity a batch writes once, and says what became of the others', async (t) => {
  const entityId = newId();
  const outcomes = await batch(
    { entityId, record: draft, version: V1 },
    { entityId, record: paid, version: V3 },
    { entityId, record: sent, version: V2 },
    { entityId, record: paid, version: V3 },
  );
  t.same(outcomes, ['superseded', 'applied', 'stale', 'unchanged']);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('ids of other modules and organizations are other entities', async (t) => {
  const entityId = newId();
  await batch({ entityId, record: paid, version: V2 });
  const others = [{ module: 'bill' }, { organizationId: '60000000002' }];
  t.same(await batch(...others.map((other) => ({ ...other, entityId, record: draft, version: V1 }))), [
    'applied',
    'applied',
  ]);
});

t.test('an event whose record is gone fails', async (t) => {
  const event = await inboxEvent(db, { entityId: newId(), record: draft });
  await db.updateTable('tds_inbox_payloads').set({ payload: null }).where('event_id', '=', event.eventId).execute();
  await t.rejects(handle([event]), { name: 'ValidationError' });
});

t.test('it makes no difference how events are cut into batches', async (t) => {
  const random = randomNumbers(20261121);
  const pick = <T>(values: T[]) => values[Math.floor(random() * values.length)] as T;
  const records = [
    draft,
    sent,
    paid,
    { ...draft, notes: 'n' },
    { invoice_id: '1', status: 'part' },
    { invoice_id: '1' },
  ];
  const times = [V1, V2, WITHIN_V2, V3, LATER];
  const anyEvent = (): Omit<InboxEvent, 'entityId'> => ({
    record: pick(records),
    version: pick([V1, V2, V3, null]),
    action: pick(['updated', 'updated', 'updated', 'deleted']),
    receivedAt: pick(times),
  });
  const histories = Array.from({ length: 40 }, () => ({
    entityId: newId(),
    events: Array.from({ length: 1 + Math.floor(random() * 6) }, anyEvent),
  }));
  const all = (organizationId: string) =>
    histories.flatMap(({ entityId, events }) => events.map((event) => ({ ...event, entityId, organizationId })));
  await batch(...all('together'));
  await oneByOne(...all('apart'));
  t.same(await rowsOf('together'), await rowsOf('apart'));
});

t.test('a newer version that is committed meanwhile is not overwritten', async (t) => {
  const entityId = newId();
  const newer = await arrive({ entityId, record: paid, version: V2 });
  const older = await arrive({ entityId, record: draft, version: V1 });
  const zombie = await db.startTransaction().execute();
  await handle(newer, zombie);
  const waiting = handle(older);
  await waitFor('the second transaction to wait for the first', someoneWaits);
  await zombie.commit().execute();
  t.same(await waiting, ['superseded']);
  t.match(await stored(entityId), { status: 'paid' });
});

t.test('batches with the same entities in opposite order do not deadlock', async (t) => {
  const entityIds = Array.from({ length: 50 }, newId);
  for (const version of [V1, V2, V3]) {
    const forth = await arrive(...entityIds.map((entityId) => ({ entityId, record: sent, version })));
    const back = await arrive(...entityIds.toReversed().map((entityId) => ({ entityId, record: paid, version })));
    await t.resolves(Promise.all([handle(forth), handle(back)]));
  }
});

async function rowsOf(organizationId: string) {
  return db
    .selectFrom('books_records')
    .select(['entity_id', 'version', 'deleted_at', 'record'])
    .where('organization_id', '=', organizationId)
    .orderBy('entity_id')
    .execute();
}

async function someoneWaits(): Promise<boolean> {
  const waits = sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`;
  return (await waits.execute(db)).rows.length > 0;
}

/** Park and Miller's generator: the same numbers in every run. */
function randomNumbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}
