import { sql } from 'kysely';
import t from 'tap';
import { testDatabase } from '../helper.ts';
import { pullOnlyViews } from './pull-only-views.ts';

const { db } = await testDatabase(t);

const VIEWS: Record<string, string> = {
  books_contacts: 'contact',
  books_items: 'item',
  books_invoices: 'invoice',
  books_invoice_lines: 'invoice',
  books_customer_payments: 'customerpayment',
  books_bills: 'bill',
  books_sales_orders: 'salesorder',
  books_purchase_orders: 'purchaseorder',
  books_credit_notes: 'creditnote',
  books_vendor_payments: 'vendorpayment',
  books_expenses: 'expense',
  books_estimates: 'estimate',
  books_vendor_credits: 'vendorcredit',
  books_journals: 'journal',
  books_inventory_adjustments: 'inventoryadjustment',
  books_estimate_lines: 'estimate',
  books_sales_order_lines: 'salesorder',
  books_credit_note_lines: 'creditnote',
  books_bill_lines: 'bill',
  books_purchase_order_lines: 'purchaseorder',
  books_vendor_credit_lines: 'vendorcredit',
  books_expense_lines: 'expense',
  books_journal_lines: 'journal',
  books_inventory_adjustment_lines: 'inventoryadjustment',
  books_contact_history: 'contact',
  books_item_history: 'item',
  books_invoice_history: 'invoice',
  books_customer_payment_history: 'customerpayment',
  books_sales_order_history: 'salesorder',
  books_estimate_history: 'estimate',
  books_credit_note_history: 'creditnote',
  books_bill_history: 'bill',
  books_purchase_order_history: 'purchaseorder',
  books_vendor_payment_history: 'vendorpayment',
  books_vendor_credit_history: 'vendorcredit',
  books_expense_history: 'expense',
  books_journal_history: 'journal',
  books_inventory_adjustment_history: 'inventoryadjustment',
  ...Object.fromEntries(pullOnlyViews.map(({ view, module }) => [view, module])),
  ...Object.fromEntries(pullOnlyViews.map(({ history, module }) => [history, module])),
  books_retainer_invoice_lines: 'retainerinvoice',
  books_recurring_invoice_lines: 'recurringinvoice',
};

/** What the cast makes of each text, as text. */
const casts: Record<string, Record<string, string | null>> = {
  books_text: { '': null, ' ': null, Paid: 'Paid', ' kept as sent ': ' kept as sent ' },
  books_numeric: {
    '': null,
    ' ': null,
    '598.00': '598.00',
    ' -0.10 ': '-0.10',
    '12345678901234567890.123456789': '12345678901234567890.123456789',
    '1e3': '1000',
    '1e130000': null,
    '1,598.00': null,
    $5: null,
    '.': null,
    '-': null,
    NaN: null,
    Infinity: null,
    '٣': null,
    '0x10': null,
  },
  books_date: {
    '': null,
    ' ': null,
    '2026-06-09': '2026-06-09',
    '2028-02-29': '2028-02-29',
    '2026-02-29': null,
    '2026-02-30': null,
    '2026-13-01': null,
    '2026-00-10': null,
    '0000-01-01': null,
    '09 Jun 2026': null,
    '2026-06-09T09:47:43-0400': null,
    infinity: null,
  },
  books_time: {
    '': null,
    ' ': null,
    '2026-06-09T09:47:43-0400': '2026-06-09 13:47:43+00',
    '2026-06-09T09:47:43+05:30': '2026-06-09 04:17:43+00',
    '2026-06-09T09:47:43.25Z': '2026-06-09 09:47:43.25+00',
    '2026-06-09T09:47:43': null,
    '2026-02-30T09:47:43-0400': null,
    '2026-06-09T25:47:43-0400': null,
    '2026-06-09T09:47:43+9900': null,
    '2026-06-09': null,
    now: null,
  },
  books_boolean: { '': null, ' ': null, true: 'true', FALSE: 'false', yes: null, '1': null },
};

for (const [cast, cases] of Object.entries(casts)) {
  t.test(`${cast} reads what is well formed and makes null of the rest`, async (t) => {
    for (const [text, expected] of Object.entries(cases)) {
      const { rows } = await sql<{ value: string | null }>`select ${sql.raw(cast)}(${text})::text as value`.execute(db);
      t.equal(rows[0]?.value, expected, JSON.stringify(text));
    }
    const { rows } = await sql<{ value: null }>`select ${sql.raw(cast)}(null) as value`.execute(db);
    t.equal(rows[0]?.value, null);
  });
}

/** Every field of every view takes this value at once. */
const JUNK = [
  '',
  ' ',
  'x',
  '2026-02-30',
  '2026-02-30T00:00:00Z',
  '1e999999',
  -0,
  1e300,
  true,
  null,
  [],
  ['x'],
  [null],
  {},
];

for (const [view, module] of Object.entries(VIEWS)) {
  t.test(`${view} can be read whatever its records hold`, async (t) => {
    const fields = await columnsOf(view);
    const records = JUNK.map((value) => Object.fromEntries([...fields, 'line_items'].map((field) => [field, value])));
    await insertRecords(module, [{}, ...records]);
    await t.resolves(sql`select * from ${sql.table(view)}`.execute(db));
  });
}

t.test('a deleted record stays visible and says so', async (t) => {
  await sql`update books_records set version = now(), deleted_at = now() where entity_id = '0'`.execute(db);
  for (const view of Object.keys(VIEWS).filter((view) => !view.endsWith('_lines'))) {
    const deleted = sql`select from ${sql.table(view)} where deleted and deleted_at is not null`;
    t.equal((await deleted.execute(db)).rows.length, 1, view);
  }
});

t.test('every view shows how far a row can be trusted, and says of each column what it means', async (t) => {
  for (const [view, module] of Object.entries(VIEWS)) {
    await sql`delete from books_records`.execute(db);
    await sql`truncate books_past_records`.execute(db);
    await insertRecords(module, [{ line_items: [{}] }]);
    await sql`update books_records set complete = false, stale_since = now(), stale_received_at = now()`.execute(db);
    const stale = sql`select from ${sql.table(view)} where stale_since is not null and not complete`;
    t.equal((await stale.execute(db)).rows.length, 1, view);
    const { rows } = await sql<{ attname: string }>`
      select attname from pg_attribute where attrelid = ${view}::regclass and col_description(attrelid, attnum) is null`.execute(
      db,
    );
    t.same(rows, [], view);
  }
});

t.test('invoice lines are numbered as Zoho orders them, else by position', async (t) => {
  await sql`delete from books_records`.execute(db);
  const line_items = [{ name: 'a' }, { name: 'b', item_order: 7 }, { name: 'c', item_order: '' }];
  await insertRecords('invoice', [{ line_items }, { line_items: '' }, {}]);
  const { rows } = await sql`select invoice_id, line_no, name from books_invoice_lines order by name`.execute(db);
  t.same(rows, [
    { invoice_id: '0', line_no: '1', name: 'a' },
    { invoice_id: '0', line_no: '7', name: 'b' },
    { invoice_id: '0', line_no: '3', name: 'c' },
  ]);
});

t.test('a view finds one record by its id through the index', async (t) => {
  const explain = sql<{ 'QUERY PLAN': string }>`explain select * from books_invoices where invoice_id = '1'`;
  const plan = await db.transaction().execute(async (trx) => {
    await sql`set local enable_seqscan = off`.execute(trx);
    return (await explain.execute(trx)).rows.map((row) => row['QUERY PLAN']).join('\n');
  });
  t.match(plan, /Index Cond: .*module.*entity_id/);
});

async function columnsOf(view: string): Promise<string[]> {
  const { rows } = await sql<{ column_name: string }>`
    select column_name from information_schema.columns where table_name = ${view}`.execute(db);
  return rows.map((row) => row.column_name);
}

/** Replaces the module's records; their ids are their positions. */
async function insertRecords(module: string, records: unknown[]): Promise<void> {
  await sql`delete from books_records where module = ${module}`.execute(db);
  const values = records.map((record, position) => ({
    organization_id: '60000000001',
    module,
    entity_id: String(position),
    source: 'webhook',
    record: JSON.stringify(record),
  }));
  await db.insertInto('books_records').values(values).execute();
}
