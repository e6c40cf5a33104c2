import t from 'tap';
import { readFacts } from '../../src/monitor/alerts/facts.ts';
import type { FieldOfModule } from '../../src/monitor/field-drift.ts';
import { sampleFields } from '../../src/monitor/field-samples.ts';
import { testApi } from '../api/client.ts';
import { arrive } from '../queue/engine.ts';

const { api, db, pool } = await testApi(t);
t.beforeEach(() =>
  pool.query(
    'truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, books_records, tds_fields, tds_field_samples',
  ),
);

let ids = 1;

/** So many completed events with complete records like this one in the mirror, and then a sample. */
async function sample(count: number, record: object, complete = true): Promise<string[]> {
  const entities = Array.from({ length: count }, (_, n) => `${ids + n}`);
  ids += count;
  await arrive(pool, entities);
  await pool.query(
    `insert into books_records (organization_id, module, entity_id, version, record, complete, stale_since)
     select '60000000001', 'invoice', id, now(), $2, $3, case when not $3 then now() end from unnest($1::text[]) as id`,
    [entities, JSON.stringify(record), complete],
  );
  await pool.query(`update tds_sync_queue set status = 'completed'`);
  await sampleFields(db);
  return entities;
}

async function drift(query = ''): Promise<Record<string, FieldOfModule>> {
  const fields = (await api.inject(`/dashboard/field-drift${query}`)).json() as FieldOfModule[];
  return Object.fromEntries(fields.map((field) => [field.field, field]));
}

const alerted = async () => (await readFacts(db, { failureRateMinEvents: 20, watchedSeconds: 0 })).driftingFields;

t.test('the fields of the first records are no news', async (t) => {
  await sample(25, { total: 1, custom_field_hash: { cf_region: 'North' } });
  t.same(await drift(), {});
  const all = await drift('?all=true');
  t.same(Object.keys(all), ['custom_field_hash', 'custom_field_hash.cf_region', 'total']);
  t.match(all.total, { module: 'invoice', states: ['known'], seen: 25, missed: 0, unreadable: 0 });
  t.equal(await alerted(), 0);
});

t.test('a new field and a new custom field are listed and alerted', async (t) => {
  await sample(25, { total: 1, custom_field_hash: {} });
  await sample(1, { total: 1, custom_field_hash: { cf_region: 'North' }, shipping: 'by air' });
  const found = await drift();
  t.same(Object.keys(found), ['custom_field_hash.cf_region', 'shipping']);
  t.match(found.shipping, { states: ['new'], seen: 1 });
  t.equal(await alerted(), 2);
});

t.test('a field that all had and the last twenty lack has vanished', async (t) => {
  await sample(25, { total: 1, notes: 'x' });
  await sample(1, { total: 1, notes: 'x', rare: 1 });
  await sample(19, { total: 1 });
  t.same((await drift('?all=true')).notes?.states, ['known']);
  await sample(1, { total: 1 });
  const found = await drift();
  t.match(found.notes, { states: ['vanished'], seen: 26, missed: 20 });
  t.same(found.rare?.states, ['new'], 'what only few had has not vanished');
  await sample(1, { total: 1, notes: 'back' });
  t.notOk((await drift()).notes);
});

t.test('text that the view cannot read is told, with one record that has it', async (t) => {
  await sample(25, { total: 1, due_date: '2026-01-31', is_emailed: false, tags: [] });
  t.same(await drift(), {});
  const [id] = await sample(1, { total: '12,34', due_date: '31.01.2026', is_emailed: 'maybe', tags: 'a', notes: 'ok' });
  const found = await drift();
  for (const field of ['total', 'due_date', 'is_emailed', 'tags'])
    t.match(found[field], { states: ['unreadable'], unreadable: 1, unreadable_entity_id: id }, field);
  const { rows } = await pool.query(
    'select total, due_date, is_emailed, tags from books_invoices where invoice_id = $1',
    [id],
  );
  t.same(rows, [{ total: null, due_date: null, is_emailed: null, tags: null }], 'the view agrees');
  t.notMatch(JSON.stringify(found), /12,34/);
  await sample(1, { total: ' ', due_date: '' });
  t.equal((await drift()).total?.unreadable, 1, 'what is empty is null in the view as well');
});

t.test('each record is looked at once, and parts of records are not', async (t) => {
  await sample(3, { total: 1 });
  await sampleFields(db);
  t.equal((await drift('?all=true')).total?.seen, 3);
  await sample(2, { part: 1 }, false);
  t.notOk((await drift('?all=true')).part);
});

t.test('what is no name of a field is not kept, and a module has a bounded number of them', async (t) => {
  const names = Array.from({ length: 2500 }, (_, n) => [`field_${n}`, n]);
  await sample(1, { 'jane@canary.example': 1, 'Jane Canary': 1, ...Object.fromEntries(names) });
  await sample(1, { one_more: 1 });
  const { rows } = await pool.query(
    `select count(*)::int as fields, count(*) filter (where field ~* 'jane')::int as people from tds_fields`,
  );
  t.same(rows, [{ fields: 2000, people: 0 }]);
});
