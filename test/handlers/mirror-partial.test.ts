import t from 'tap';
import { booksModules } from '../../src/zoho/modules/modules.ts';
import { testDatabase } from '../helper.ts';
import { sample } from '../samples.ts';
import { AFTER_V2, draft, LATER, mirroring, newId, paid, sent, V1, V2, V3, WITHIN_V2 } from './mirroring.ts';

const { db } = await testDatabase(t);
const { batch, oneByOne, stored, trust } = mirroring(db);

const part = { invoice_id: '1', status: 'paid', last_modified_time: V2 };
const fields = (record: object) => Object.keys(record).sort();

t.test('a newer partial body leaves the full record as it is and marks it stale since it arrived', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V1 },
    { entityId, record: part, version: V2, receivedAt: AFTER_V2 },
    { entityId, record: { ...part, status: 'void' }, version: V3, receivedAt: LATER },
  ];
  t.same(await oneByOne(...events), ['applied', 'partial', 'partial']);
  t.same(await stored(entityId), { status: 'draft', deleted: false, version: new Date(V1) });
  t.same(await trust(entityId), { complete: true, staleSince: new Date(AFTER_V2), fields: fields(draft) });
});

t.test('a full record at least as new as the partial body makes the row current again', async (t) => {
  for (const version of [V2, V3]) {
    const entityId = newId();
    const events = [
      { entityId, record: draft, version: V1 },
      { entityId, record: part, version: V2, receivedAt: AFTER_V2 },
      { entityId, record: paid, version },
    ];
    t.same(await oneByOne(...events), ['applied', 'partial', 'applied']);
    t.match(await stored(entityId), { status: 'paid', version: new Date(version) });
    t.match(await trust(entityId), { complete: true, staleSince: null });
  }
});

t.test('a full record between the stored one and the partial body is applied, and the row stays stale', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V1 },
    { entityId, record: part, version: V3, receivedAt: AFTER_V2 },
    { entityId, record: sent, version: V2, receivedAt: LATER },
  ];
  t.same(await oneByOne(...events), ['applied', 'partial', 'applied']);
  t.match(await stored(entityId), { status: 'sent', version: new Date(V2) });
  t.match(await trust(entityId), { staleSince: new Date(AFTER_V2) });
  t.same(await batch({ entityId, record: paid, version: V3 }), ['applied']);
  t.match(await trust(entityId), { staleSince: null });
});

t.test('a partial body that is not newer than the full record says nothing new', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V2 },
    { entityId, record: part, version: V1 },
    { entityId, record: part, version: V2 },
  ];
  t.same(await oneByOne(...events), ['applied', 'stale', 'hint']);
  t.match(await trust(entityId), { staleSince: null });
});

t.test('a body without a version marks the row stale until a full record is received', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V2, receivedAt: V2 },
    { entityId, record: paid, receivedAt: AFTER_V2 },
    { entityId, record: draft, version: V2, receivedAt: WITHIN_V2 },
  ];
  t.same(await oneByOne(...events), ['applied', 'partial', 'unchanged']);
  t.match(await stored(entityId), { status: 'draft' });
  t.match(await trust(entityId), { complete: true, staleSince: new Date(AFTER_V2) });
  t.same(
    await batch({ entityId, record: draft, version: V2, receivedAt: LATER }),
    ['applied'],
    'the same, fetched again',
  );
  t.match(await trust(entityId), { staleSince: null });
});

t.test('a body of nothing but ids and times is no row, but says that a row is stale', async (t) => {
  const entityId = newId();
  const pointer = { event: 'invoice.updated', organization_id: '60000000001', invoice_id: entityId };
  t.same(await batch({ entityId, record: pointer }), ['hint']);
  t.equal(await stored(entityId), undefined);
  const dated = { entityId, record: { ...pointer, last_modified_time: V2 }, version: V2, receivedAt: AFTER_V2 };
  t.same(await oneByOne({ entityId, record: draft, version: V2 }, dated), ['applied', 'hint']);
  t.same(await oneByOne({ ...dated, version: V3 }, { ...dated, version: null }), ['partial', 'partial']);
  t.match(await stored(entityId), { status: 'draft', version: new Date(V2) });
  t.match(await trust(entityId), { staleSince: new Date(AFTER_V2) });
});

t.test('with no row a partial body is kept as incomplete and stale', async (t) => {
  const [versioned, bare] = [newId(), newId()];
  const events = [
    { entityId: versioned, record: part, version: V2, receivedAt: AFTER_V2 },
    { entityId: bare, record: draft, receivedAt: AFTER_V2 },
  ];
  t.same(await batch(...events), ['applied', 'applied']);
  const expected = { complete: false, staleSince: new Date(AFTER_V2) };
  t.same(await trust(versioned), { ...expected, fields: fields(part) });
  t.same(await trust(bare), { ...expected, fields: fields(draft) });
});

t.test('partial bodies are merged: the newer one wins, the older one fills the gaps', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: { invoice_id: '1', status: 'sent', total: 5 }, version: V2 },
    { entityId, record: { invoice_id: '1', status: 'paid' }, version: V3 },
    { entityId, record: { invoice_id: '1', status: 'draft', notes: 'n' }, version: V1 },
    { entityId, record: { invoice_id: '1', status: 'void', terms: 't' } },
    { entityId, record: { invoice_id: '1', status: 'draft' }, version: V1 },
    { entityId, record: { invoice_id: '1', status: 'paid' }, version: V3 },
  ];
  t.same(await oneByOne(...events), ['applied', 'applied', 'applied', 'applied', 'stale', 'unchanged']);
  t.match(await stored(entityId), { status: 'paid', version: new Date(V3) });
  t.match(await trust(entityId), { complete: false, fields: ['invoice_id', 'notes', 'status', 'terms', 'total'] });
});

t.test('bodies without a version are merged in order of arrival', async (t) => {
  const entityId = newId();
  const statuses = ['sent', 'paid'].map((status) => ({ entityId, record: { invoice_id: '1', status } }));
  t.same(await oneByOne(...statuses), ['applied', 'applied']);
  t.match(await stored(entityId), { status: 'paid', version: null });
});

t.test('a full record replaces an incomplete row even if it is older, which then stays stale', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: part, version: V2, receivedAt: AFTER_V2 },
    { entityId, record: draft, version: V1, receivedAt: LATER },
  ];
  t.same(await oneByOne(...events), ['applied', 'applied']);
  t.match(await stored(entityId), { status: 'draft', version: new Date(V1) });
  t.same(await trust(entityId), { complete: true, staleSince: new Date(AFTER_V2), fields: fields(draft) });
});

t.test('at an equal version the fuller record wins, whichever arrives first', async (t) => {
  const fuller = { ...paid, notes: 'n' };
  for (const records of [
    [fuller, paid],
    [paid, fuller],
  ]) {
    const entityId = newId();
    await oneByOne(...records.map((record) => ({ entityId, record, version: V1 })));
    t.match(await trust(entityId), { fields: fields(fuller) });
  }
});

t.test('a record fetched from the API wins at an equal version and is full as it is', async (t) => {
  const entityId = newId();
  const fetched = { entityId, record: { ...part, status: 'void' }, version: V2, source: 'pull' as const };
  t.same(await oneByOne({ entityId, record: draft, version: V2 }, fetched), ['applied', 'applied']);
  t.match(await stored(entityId), { status: 'void' });
  t.match(await trust(entityId), { complete: true, staleSince: null });
});

t.test('a delete makes a stale row a tombstone, newer than all that was known', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V1, receivedAt: V1 },
    { entityId, record: part, version: V3, receivedAt: V2 },
    { entityId, record: { invoice_id: '1' }, action: 'deleted', receivedAt: AFTER_V2 },
    { entityId, record: paid, version: V3, receivedAt: LATER },
  ];
  t.same(await oneByOne(...events), ['applied', 'partial', 'applied', 'stale']);
  t.match(await stored(entityId), { status: 'draft', deleted: true });
  t.match(await trust(entityId), { complete: true, staleSince: null });
});

t.test('a partial body newer than the delete revives the record without making it poorer', async (t) => {
  const entityId = newId();
  const events = [
    { entityId, record: draft, version: V1 },
    { entityId, record: { invoice_id: '1' }, action: 'deleted', receivedAt: V2 },
    { entityId, record: part, version: V2, receivedAt: AFTER_V2 },
    { entityId, record: part, version: V3, receivedAt: LATER },
  ];
  t.same(await oneByOne(...events), ['applied', 'applied', 'stale', 'partial']);
  t.match(await stored(entityId), { status: 'draft', deleted: false });
  t.same(await trust(entityId), { complete: true, staleSince: new Date(LATER), fields: fields(draft) });
});

t.test('a delete with a full body completes what was incomplete', async (t) => {
  const entityId = newId();
  await oneByOne({ entityId, record: part, version: V1 }, { entityId, record: draft, action: 'deleted' });
  t.match(await stored(entityId), { deleted: true });
  t.same(await trust(entityId), { complete: true, staleSince: null, fields: fields(draft) });
});

t.test('of an unknown module a body with less than half of the stored fields is partial', async (t) => {
  const entityId = newId();
  const record = { widget_id: '1', name: 'a', size: 1, colour: 'red' };
  const { size: _, ...most } = { ...record, name: 'b' };
  const outcomes = await oneByOne(
    { entityId, module: 'widget', record, version: V1 },
    { entityId, module: 'widget', record: most, version: V2 },
    { entityId, module: 'widget', record: { name: 'c' }, version: V3 },
  );
  t.same(outcomes, ['applied', 'applied', 'partial']);
  t.match(await trust(entityId), { complete: true, fields: fields(most) });
});

t.test('of every module a record without one of the fields that make it full is partial', async (t) => {
  for (const { name: module, fullRecordFields } of booksModules) {
    const full = Object.fromEntries(fullRecordFields.map((field) => [field, '']));
    for (const missing of [undefined, ...fullRecordFields]) {
      const entityId = newId();
      const record = Object.fromEntries(Object.entries(full).filter(([field]) => field !== missing));
      await batch({ entityId, module, record: { ...record, name_of_test: '' }, version: V1 });
      t.match(await trust(entityId), { complete: missing === undefined }, `${module} without ${missing}`);
    }
  }
});

t.test('every recorded sample is a full record, and a row of the list is not', async (t) => {
  for (const name of ['bill', 'contact', 'customerpayment', 'invoice', 'invoice-paid', 'item', 'salesorder']) {
    const entityId = newId();
    const [record] = Object.values<Record<string, unknown>>(sample(`${name}.webhook`));
    await batch({ entityId, module: name.replace('-paid', ''), record: record ?? {}, version: V1 });
    t.match(await trust(entityId), { complete: true }, name);
  }
  const entityId = newId();
  const { line_items: _, ...listRow } = sample('invoice.webhook').invoice;
  await batch({ entityId, record: listRow, version: V1 });
  t.match(await trust(entityId), { complete: false });
});
