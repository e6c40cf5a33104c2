import type pg from 'pg';
import t from 'tap';
import { mirror } from '../../src/handlers/mirror.ts';
import { type Delivery, parseDelivery } from '../../src/inbox/parse.ts';
import { inboxEvent } from '../factory.ts';
import { silentLog, testDatabase } from '../helper.ts';
import { sampleBody } from '../samples.ts';

const { db, pool } = await testDatabase(t);

const VIEWS = {
  'bill.webhook': 'books_bills',
  'contact.webhook': 'books_contacts',
  'customerpayment.webhook': 'books_customer_payments',
  'invoice-paid.webhook': 'books_invoices',
  'item.webhook': 'books_items',
  'salesorder.webhook': 'books_sales_orders',
};

for (const [name, view] of Object.entries(VIEWS)) {
  t.test(`${view} shows every id, amount, time and text of ${name} as Zoho wrote it`, async (t) => {
    const delivery = await deliver(sampleBody(name), 'application/json');
    const row = await onlyRow(`select * from ${view}`);
    for (const [field, written] of scalars(delivery.record)) t.equal(row[field], asColumn(written), field);
    t.equal(row.deleted, 'f');
  });
}

t.test('books_invoice_lines shows the lines of an invoice as Zoho wrote them', async (t) => {
  const { record } = await deliver(sampleBody('invoice.webhook'), 'application/json');
  const row = await onlyRow('select * from books_invoice_lines');
  const line = JSON.stringify(JSON.parse(record).line_items[0]);
  for (const [field, written] of scalars(line)) if (field in row) t.equal(row[field], asColumn(written), field);
  t.match(row, { invoice_id: '3950000000203001', line_no: '1', quantity: '2', rate: '299', item_total: '598' });
});

t.test('a custom template with flat strings is readable through the view', async (t) => {
  const transports = JSON.parse(sampleBody('transports').toString());
  await deliver(Buffer.from(transports.custom_raw_json.raw_body), 'application/json');
  const row = await onlyRow('select * from books_invoices');
  t.match(row, { invoice_id: '3950000000203001', status: 'Paid', total: null, version: null, deleted: 'f' });
});

t.test('ids and amounts keep digits that a JavaScript number would lose', async (t) => {
  const body =
    '{"invoice":{"invoice_id":260815000000113012,"customer_id":1234567890123456789,"total":12345678901234567.89}}';
  await deliver(Buffer.from(body), 'application/json');
  const row = await onlyRow('select * from books_invoices');
  t.match(row, { invoice_id: '260815000000113012', customer_id: '1234567890123456789', total: '12345678901234567.89' });
});

/** Empties the mirror, then lets one webhook through parsing and mirroring. */
async function deliver(body: Buffer, contentType: string): Promise<Delivery> {
  await db.deleteFrom('books_records').execute();
  const parsed = parseDelivery({ body, contentType, method: 'POST', defaultOrganization: '60000000001' });
  if (parsed.kind !== 'delivery') throw new Error(`not a delivery: ${parsed.kind}`);
  const event = await inboxEvent(db, parsed.delivery);
  const signal = new AbortController().signal;
  await db.transaction().execute(async (trx) => mirror.handleBatch?.([event], { trx, signal, log: silentLog }));
  return parsed.delivery;
}

/** The row with every column as the server prints it, times at Zoho's offset of the samples. */
async function onlyRow(text: string): Promise<Record<string, string | null>> {
  const client = await pool.connect();
  await client.query("set time zone interval '-04:00' hour to minute");
  const asText = { getTypeParser: () => (value: string) => value } as unknown as pg.CustomTypesConfig;
  const { rows } = await client.query({ text, types: asText });
  client.release(true);
  if (rows.length !== 1) throw new Error(`${rows.length} rows instead of one: ${text}`);
  return rows[0];
}

/** The fields of a record that are no object or array, with numbers as they are spelled. */
function scalars(record: string): [string, string | boolean][] {
  const spelled = JSON.parse(record, ((_key: string, value: unknown, { source }: { source: string }) =>
    typeof value === 'number' ? source : value) as Parameters<typeof JSON.parse>[1]);
  return Object.entries(spelled).filter((entry): entry is [string, string | boolean] => typeof entry[1] !== 'object');
}

function asColumn(written: string | boolean): string | null {
  if (typeof written === 'boolean') return written ? 't' : 'f';
  if (written.trim() === '') return null;
  return /^\d{4}-\d\d-\d\dT/.test(written) ? written.replace('T', ' ').replace('-0400', '-04') : written;
}
