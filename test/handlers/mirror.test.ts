import t from 'tap';
import { inboxEvent } from '../factory.ts';
import { testDatabase } from '../helper.ts';
import { AFTER_V2, draft, LATER, mirroring, newId, paid, sent, V1, V2, V3, WITHIN_V2 } from './mirroring.ts';

const { db } = await testDatabase(t);
const { handle, batch, oneByOne, stored } = mirroring(db);

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
  const record = { ...paid, balance: 0 };
  t.same(
    await oneByOne(
      { entityId, record: { ...draft, notes: 'of the first version' }, version: V1 },
      { entityId, record, version: V2 },
    ),
    ['applied', 'applied'],
  );
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
  await db.updateTable('tds_inbox_payloads').set({ payload: null }).where('event_id', '=', event.id).execute();
  await t.rejects(handle([event]), { name: 'ValidationError' });
});
