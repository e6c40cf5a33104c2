/** The whole way of a webhook through the real processes: from Zoho's request to the mirrored row. */
import path from 'node:path';
import t from 'tap';
import { expectedRow, parseExactly, pick } from './pipeline/exact.ts';
import { killApiAt, killWorkerAt, sendAll } from './pipeline/kill.ts';
import { asJsonb, deliver, deliverInOrder, FORM, mirrored, settled } from './pipeline/zoho.ts';
import { sample, sampleBody } from './samples.ts';
import { type System, startSystem } from './system.ts';

const system = await startSystem(t);

const SAMPLES = [
  { file: 'bill', module: 'bill', key: 'bill', view: 'books_bills', id: 'bill_id' },
  { file: 'contact', module: 'contact', key: 'contact', view: 'books_contacts', id: 'contact_id' },
  {
    file: 'customerpayment',
    module: 'customerpayment',
    key: 'payment',
    view: 'books_customer_payments',
    id: 'payment_id',
  },
  { file: 'invoice', module: 'invoice', key: 'invoice', view: 'books_invoices', id: 'invoice_id' },
  { file: 'invoice-paid', module: 'invoice', key: 'invoice', view: 'books_invoices', id: 'invoice_id' },
  { file: 'item', module: 'item', key: 'item', view: 'books_items', id: 'item_id' },
  { file: 'salesorder', module: 'salesorder', key: 'salesorder', view: 'books_sales_orders', id: 'salesorder_id' },
];

/** The record's own text inside a sample, which is `{"key": {…}}`. */
function recordText(body: string): string {
  return body.slice(body.indexOf('{', 1), body.lastIndexOf('}'));
}

const form = (fields: Record<string, string>) => ({
  contentType: FORM,
  body: new URLSearchParams(fields).toString(),
});

/** Every wire form in which a whole record travels; `whole` is the sample, `record` what stands in it under `key`. */
const TRANSPORTS: Record<
  string,
  (key: string, whole: string, record: string) => { body: string; contentType?: string }
> = {
  'default payload': (_key, whole) => ({ body: whole }),
  'JSON with a charset': (_key, whole) => ({ body: whole, contentType: 'application/json; charset=utf-8' }),
  'JSON in capitals': (_key, whole) => ({ body: whole, contentType: 'Application/JSON;Charset="UTF-8"' }),
  'form JSONString': (_key, whole) => form({ JSONString: whole }),
  'form payload': (_key, whole) => form({ payload: whole }),
  'form under the module key': (key, _whole, record) => form({ [key]: record }),
  'JSON text in JSON': (_key, whole) => ({ body: JSON.stringify({ JSONString: whole }) }),
  'object in an envelope': (_key, whole) => ({ body: `{"payload": ${whole}}` }),
  'the bare record': (_key, _whole, record) => ({ body: record }),
};

for (const [name, wire] of Object.entries(TRANSPORTS)) {
  t.test(`every sample is mirrored exactly when it arrives as ${name}`, async (t) => {
    for (const { file, module, key } of SAMPLES) {
      const whole = sampleBody(`${file}.webhook`).toString();
      const organization = `${name} ${file}`;
      const to = `/${encodeURIComponent(organization)}`;
      const receipt = await deliver(system, { to, ...wire(key, whole, recordText(whole)) });
      t.match(receipt, { status: 202, state: 'queued', duplicate: false });
      await settled(system);
      const rows = await mirrored(system, organization);
      t.equal(rows.length, 1, 'one row');
      t.match(rows[0], { module, deleted: false });
      t.equal(rows[0]?.record, await asJsonb(system, recordText(whole)), `${file}: every field, digit for digit`);
    }
  });
}

t.test('the typed views show ids, money and times exactly as the samples do', async (t) => {
  for (const { file, view, id } of SAMPLES) {
    const record = parseExactly(recordText(sampleBody(`${file}.webhook`).toString()));
    const { rows } = await system.pool.query<{ row: string }>(
      `select to_jsonb(view)::text as row from ${view} as view where organization_id = $1`,
      [`default payload ${file}`],
    );
    const row = parseExactly(rows[0]?.row ?? '{}');
    const expected = expectedRow(row, record);
    t.equal(row[id], record[id], 'the id');
    t.ok(Object.keys(expected).length >= 20, `${file}: ${Object.keys(expected).length} fields have a column`);
    t.same(pick(row, Object.keys(expected)), expected, file);
  }
});

t.test('every recorded transport arrives; only those that carry the record are mirrored whole', async (t) => {
  const { comment: _, ...transports } = sample('transports');
  for (const [name, { content_type, raw_body }] of Object.entries<Record<string, string>>(transports)) {
    await deliver(system, { to: `/${name}`, body: raw_body ?? '', contentType: content_type ?? '' });
  }
  await settled(system);
  const { custom_raw_json, custom_form_params, ...whole } = transports;
  const record = await asJsonb(system, recordText(transports.default_payload.raw_body));
  for (const name of Object.keys(whole))
    t.same(
      (await mirrored(system, name)).map((row) => row.record),
      [record],
      name,
    );
  for (const name of ['custom_raw_json', 'custom_form_params']) {
    t.match(await mirrored(system, name), [{ module: 'invoice', entity_id: '3950000000203001', version: null }], name);
  }
});

t.test('check calls get a 2xx and leave nothing behind', async (t) => {
  const count = async () => (await system.pool.query('select from tds_inbox_events')).rowCount;
  const before = await count();
  const { form, json } = sample('check-call');
  for (const { content_type, raw_body } of [form, json]) {
    t.equal((await deliver(system, { body: raw_body, contentType: content_type })).status, 200);
  }
  t.equal(await count(), before);
});

/** A record of the samples with a time of its own. */
const invoiceAt = (last_modified_time: string, status: string) => ({
  invoice: { ...sample('invoice.webhook').invoice, last_modified_time, status },
});
const V1 = '2026-06-09T09:46:25-0400';
const V2 = '2026-06-09T09:47:43-0400';
const paid = invoiceAt(V2, 'paid');
const sent = invoiceAt(V1, 'sent');

async function states(system: System, organization: string): Promise<string[]> {
  const rows = await mirrored(system, organization);
  return rows.map((row) => `${parseExactly(row.record).status}${row.deleted ? ', deleted' : ''}`);
}

t.test('a repeat changes nothing: the same id, one inbox row, one effect', async (t) => {
  const again = { to: '/repeats', body: paid };
  const atOnce = await Promise.all(Array.from({ length: 20 }, () => deliver(system, again)));
  await settled(system);
  const before = await system.pool.query("select * from books_records where organization_id = 'repeats'");
  const [later] = await deliverInOrder(system, again);
  t.equal(new Set([...atOnce, later].map((receipt) => receipt?.event_id)).size, 1, 'one id for all');
  t.equal(atOnce.filter((receipt) => !receipt.duplicate).length, 1, 'one of them is the first');
  t.equal(later?.duplicate, true, 'a repeat after the work is done is one too');
  for (const table of ['tds_inbox_events', 'tds_sync_queue']) {
    t.equal((await system.pool.query(`select from ${table} where organization_id = 'repeats'`)).rowCount, 1, table);
  }
  const after = await system.pool.query("select * from books_records where organization_id = 'repeats'");
  t.same(after.rows, before.rows, 'the row was not even touched');
});

t.test('an older version never overwrites a newer one, in whatever order they arrive', async (t) => {
  await deliverInOrder(system, { to: '/old-last', body: paid }, { to: '/old-last', body: sent });
  await deliverInOrder(system, { to: '/old-first', body: sent }, { to: '/old-first', body: paid });
  await Promise.all([paid, sent].map((body) => deliver(system, { to: '/at-once', body })));
  await settled(system);
  for (const organization of ['old-last', 'old-first', 'at-once']) t.same(await states(system, organization), ['paid']);
});

t.test('a delete leaves a tombstone that only a newer version revives', async (t) => {
  const { id_only, full_snapshot } = sample('delete.webhook');
  for (const [organization, body] of Object.entries({ 'id-only': id_only, snapshot: full_snapshot })) {
    const to = `/${organization}`;
    await deliverInOrder(system, { to, body: paid }, { to: `${to}/invoice/deleted`, body });
    t.same(await states(system, organization), ['paid, deleted'], 'the last known record stays');
    await deliverInOrder(system, { to, body: sent }, { to, body: invoiceAt(V2, 'void') });
    t.same(await states(system, organization), ['paid, deleted'], 'stale updates do not revive it');
    const soon = new Date(Date.now() + 60_000).toISOString().replace(/\.\d+Z$/, '+0000');
    await deliverInOrder(system, { to, body: invoiceAt(soon, 'draft') });
    t.same(await states(system, organization), ['draft'], 'a newer one does');
  }
});

t.test('kill -9 of worker and API in the middle of 500 events loses none and applies none twice', async (t) => {
  const settings = { HANDLERS_DIR: path.join(import.meta.dirname, 'pipeline/effects'), LEASE_SECONDS: '2' };
  const system = await startSystem(t, settings);
  const onItsDatabase = { ...settings, DATABASE_URL: system.url };
  await system.pool.query('create table protected_effects (event_id uuid primary key)');
  await system.pool.query('create table appended_effects (event_id uuid)');

  const deliveries = hundredInvoicesInFiveVersions();
  const answered: string[] = [];
  await Promise.all([
    sendAll(system, deliveries, answered),
    killApiAt(t, system, onItsDatabase, [100, 200, 350], () => answered.length),
    killWorkerAt(t, system, onItsDatabase, [50, 150, 300]),
  ]);
  await settled(system, 60_000);

  t.equal(new Set(answered).size, 500, 'every delivery has an id of its own');
  const ids = async (query: string) => (await system.pool.query(query)).rows.map(({ event_id }) => event_id).sort();
  t.same(await ids('select event_id from tds_inbox_events'), answered.sort(), 'the inbox holds these and no others');
  t.same(await ids('select event_id from appended_effects'), answered, 'each had its effect once');
  t.same(
    await ids("select id as event_id from tds_sync_queue where status = 'completed'"),
    answered,
    'and is completed',
  );
  const final = await system.pool.query("select from books_records where record ->> 'status' = 'version 5'");
  t.equal(final.rowCount, 100, 'every record stands at its newest version');
});

function hundredInvoicesInFiveVersions() {
  return Array.from({ length: 500 }, (_, n) => {
    const version = 1 + Math.floor(n / 100);
    const last_modified_time = `2026-06-09T09:4${version}:00-0400`;
    return {
      body: {
        invoice: { invoice_id: `395000000020${3000 + (n % 100)}`, status: `version ${version}`, last_modified_time },
      },
    };
  });
}
