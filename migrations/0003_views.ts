import { type Kysely, sql } from 'kysely';

/**
 * One typed view per module over books_records, for people who read the mirror with SQL. Columns have the names of
 * Zoho's fields (Zoho Books API v3, https://www.zoho.com/books/api/v3/), in text, date, numeric, boolean, timestamptz
 * and jsonb. What a record lacks, leaves empty or spells in another way is null: a view never fails over one bad row.
 *
 * Deleted records stay visible, with `deleted` true; say `where not deleted` to see what Zoho Books shows. A row with
 * `stale_since` is out of date since then; one that is not `complete` holds only some of its fields.
 *
 * A view has no index of its own but that of an id (`where invoice_id = '…'`). For another column that is asked often, index
 * the same expression of books_records, for example: create index on books_records ((books_date(record ->> 'date')))
 * where module = 'invoice'.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const view of [...PEOPLE_AND_GOODS, ...SALES, ...PURCHASES, ...LEDGER]) {
    await sql.raw(view).execute(db);
  }
  await sql.raw(INVOICE_LINES).execute(db);
}

/** Names of fields, separated by blanks, under the type they have in the view. */
type Fields = { text: string; date?: string; numeric?: string; boolean?: string; time?: string; jsonb?: string };

/** What an analyst reads about a column. */
const MEANING: Record<keyof Fields, string> = {
  text: 'as Zoho writes it; null when empty',
  date: 'day in the calendar of the organization; null when empty or no date',
  numeric:
    'exact decimal; null when empty or no number; money is in the currency of the record, unless it is bcy: base currency',
  boolean: 'null when empty',
  time: 'instant; null when empty or without an offset',
  jsonb: 'as Zoho writes it; null when it is neither a list nor an object',
};

/** How a field of the record becomes a column. */
const COLUMN: Record<keyof Fields, (field: string) => string> = {
  text: (field) => `books_text(record ->> '${field}') as ${field}`,
  date: (field) => `books_date(record ->> '${field}') as ${field}`,
  numeric: (field) => `books_numeric(record ->> '${field}') as ${field}`,
  boolean: (field) => `books_boolean(record ->> '${field}') as ${field}`,
  time: (field) => `books_time(record ->> '${field}') as ${field}`,
  jsonb: (field) => `books_jsonb(record -> '${field}') as ${field}`,
};

const fieldsOf = (fields: Fields) =>
  (Object.keys(fields) as (keyof Fields)[]).flatMap((type) => words(fields[type]).map((field) => ({ type, field })));
const columnsOf = (fields: Fields) => fieldsOf(fields).map(({ type, field }) => COLUMN[type](field));
const meaningsOf = (fields: Fields) => fieldsOf(fields).map(({ type, field }): Meaning => [field, MEANING[type]]);

// The id comes from the row, not from the record: it is indexed, and there even when the record is a mere template.
function view(name: string, module: string, id: string, fields: Fields): string {
  const columns = ['organization_id', `entity_id as ${id}`, ...columnsOf(fields), ...OF_EVERY_RECORD];
  const meanings = [...meaningsOf(fields), [id, 'id in Zoho Books'] as const, ...MEANING_OF_EVERY_RECORD];
  return `create view ${name} as select ${columns.join(', ')} from books_records where module = '${module}';
    comment on view ${name} is 'deleted records included: add "where not deleted"';
    ${comments(name, meanings)}`;
}

type Meaning = readonly [column: string, meaning: string];

const comments = (view: string, meanings: readonly Meaning[]) =>
  meanings.map(([column, meaning]) => `comment on column ${view}.${column} is '${meaning}';`).join('\n');

const words = (list = '') => list.split(/\s+/).filter((word) => word !== '');

const OF_EVERY_ROW = ['version', 'deleted_at is not null as deleted', 'deleted_at', 'stale_since', 'complete'];

const OF_EVERY_RECORD = [
  COLUMN.time('created_time'),
  COLUMN.time('last_modified_time'),
  COLUMN.jsonb('custom_field_hash'),
  ...OF_EVERY_ROW,
  'record',
];

const MEANING_OF_EVERY_ROW: readonly Meaning[] = [
  ['organization_id', 'organization in Zoho Books; default when the webhook named none'],
  ['version', 'last change that this row knows of'],
  ['deleted', 'deleted in Zoho Books; the row shows the last state known'],
  ['deleted_at', 'when we learned of the deletion'],
  [
    'stale_since',
    'since when a newer state is known to exist that this row does not show yet; null when it is current',
  ],
  ['complete', 'false while only parts of the record have arrived: a null may mean not known'],
];

const MEANING_OF_EVERY_RECORD: readonly Meaning[] = [
  ...MEANING_OF_EVERY_ROW,
  ['created_time', MEANING.time],
  ['last_modified_time', MEANING.time],
  ['custom_field_hash', 'custom fields by their API name, such as cf_region'],
  ['record', 'the whole record as Zoho sent it'],
];

const PEOPLE_AND_GOODS = [
  view('books_contacts', 'contact', 'contact_id', {
    text: `contact_name company_name contact_salutation first_name last_name email phone mobile website contact_type
      customer_sub_type status source primary_contact_id payment_terms_label payment_terms_id currency_id currency_code
      currency_symbol portal_status language_code notes created_date created_by_id created_by_name last_modified_by_id`,
    numeric: `payment_terms price_precision exchange_rate credit_limit opening_balance_amount opening_balance_amount_bcy
      outstanding_receivable_amount outstanding_receivable_amount_bcy outstanding_payable_amount
      outstanding_payable_amount_bcy unused_credits_receivable_amount unused_credits_receivable_amount_bcy
      unused_credits_payable_amount unused_credits_payable_amount_bcy`,
    boolean: 'has_transaction is_linked_with_zohocrm track_1099',
    jsonb: 'billing_address shipping_address contact_persons custom_fields tags',
  }),
  view('books_items', 'item', 'item_id', {
    text: `name sku brand manufacturer status source unit unit_id description group_id account_id account_name tax_id
      tax_name tax_type purchase_description purchase_account_id purchase_account_name inventory_account_id
      inventory_account_name vendor_id vendor_name pricing_scheme item_type product_type image_name image_type`,
    date: 'created_at',
    numeric: `rate sales_rate purchase_rate pricebook_rate sales_margin tax_percentage minimum_order_quantity
      maximum_order_quantity initial_stock stock_on_hand available_stock actual_available_stock reorder_level`,
    boolean: 'is_linked_with_zohocrm can_be_sold can_be_purchased track_inventory',
    jsonb: 'item_code price_brackets custom_fields tags',
  }),
];

const SALES = [
  view('books_invoices', 'invoice', 'invoice_id', {
    text: `invoice_number status current_sub_status current_sub_status_id customer_id customer_name email currency_id
      currency_code currency_symbol invoice_source recurring_invoice_id salesorder_id salesorder_number estimate_id
      reference_number payment_terms_label zcrm_potential_id discount_type adjustment_description notes terms
      invoice_url template_id template_name template_type salesperson_id salesperson_name created_by_id
      created_by_name last_modified_by_id`,
    date: `date due_date issued_date payment_expected_date last_payment_date last_reminder_sent_date created_date`,
    numeric: `exchange_rate price_precision payment_terms sub_total tax_total total balance payment_made
      credits_applied tax_amount_withheld write_off_amount discount discount_total discount_percent adjustment
      shipping_charge bcy_sub_total bcy_tax_total bcy_total roundoff_value reminders_sent`,
    boolean: `is_inclusive_tax is_discount_before_tax is_emailed is_viewed_by_client allow_partial_payments
      payment_reminder_enabled`,
    time: 'client_viewed_time updated_time',
    jsonb: 'line_items taxes billing_address shipping_address salesorders contact_persons custom_fields tags',
  }),
  view('books_customer_payments', 'customerpayment', 'payment_id', {
    text: `payment_number payment_number_prefix payment_number_suffix customer_id customer_name payment_mode
      payment_status card_type account_id account_name account_type currency_id currency_code currency_symbol
      description reference_number online_transaction_id payment_gateway settlement_status last_four_digits
      template_id created_by`,
    date: 'date',
    numeric: 'exchange_rate amount unused_amount bank_charges tax_amount_withheld discount_amount',
    time: 'updated_time',
    jsonb: 'invoices payment_refunds custom_fields tags',
  }),
  view('books_sales_orders', 'salesorder', 'salesorder_id', {
    text: `salesorder_number reference_number status order_status invoiced_status paid_status shipped_status
      customer_id customer_name company_name email delivery_method delivery_method_id currency_id currency_code
      currency_symbol discount_type estimate_id adjustment_description notes terms template_id template_name
      template_type salesperson_id salesperson_name created_by_id last_modified_by_id`,
    date: 'date shipment_date delivery_date',
    numeric: `exchange_rate price_precision sub_total tax_total total bcy_total discount discount_amount
      discount_applied_on_amount adjustment shipping_charge shipment_days`,
    boolean: 'is_inclusive_tax is_discount_before_tax is_emailed',
    jsonb: 'line_items taxes billing_address shipping_address contact_persons invoices packages custom_fields tags',
  }),
  view('books_estimates', 'estimate', 'estimate_id', {
    text: `estimate_number reference_number status customer_id customer_name currency_id currency_code
      currency_symbol discount_type adjustment_description notes terms project_id template_id template_name
      salesperson_id salesperson_name`,
    date: 'date expiry_date accepted_date declined_date',
    numeric: `exchange_rate price_precision sub_total tax_total total bcy_total discount discount_total adjustment
      shipping_charge`,
    boolean: 'is_inclusive_tax is_discount_before_tax is_emailed is_viewed_by_client',
    time: 'client_viewed_time',
    jsonb: 'line_items taxes billing_address shipping_address contact_persons custom_fields tags',
  }),
  view('books_credit_notes', 'creditnote', 'creditnote_id', {
    text: `creditnote_number reference_number status customer_id customer_name currency_id currency_code
      currency_symbol discount_type adjustment_description notes terms template_id template_name salesperson_id
      salesperson_name`,
    date: 'date',
    numeric: `exchange_rate price_precision sub_total tax_total total balance total_credits_used
      total_refunded_amount discount adjustment shipping_charge`,
    boolean: 'is_inclusive_tax is_discount_before_tax is_emailed',
    time: 'updated_time',
    jsonb: 'line_items taxes billing_address shipping_address invoices_credited custom_fields tags',
  }),
];

const PURCHASES = [
  view('books_bills', 'bill', 'bill_id', {
    text: `bill_number status current_sub_status source entity_type vendor_id vendor_name reference_number reference_id
      recurring_bill_id payment_terms_label currency_id currency_code currency_symbol discount_type
      adjustment_description billing_address_id account_id account_name attachment_name notes terms template_id
      template_name created_by_id last_modified_id`,
    date: 'date due_date payment_expected_date',
    numeric: `exchange_rate price_precision payment_terms due_by_days due_in_days sub_total tax_total total balance
      payment_made vendor_credits_applied unprocessed_payment_amount discount discount_amount adjustment`,
    boolean: 'is_inclusive_tax is_item_level_tax_calc',
    jsonb: 'line_items taxes billing_address purchaseorders payments vendor_credits custom_fields tags',
  }),
  view('books_purchase_orders', 'purchaseorder', 'purchaseorder_id', {
    text: `purchaseorder_number reference_number status order_status billed_status vendor_id vendor_name ship_via
      attention delivery_customer_id currency_id currency_code currency_symbol notes terms template_id template_name`,
    date: 'date delivery_date expected_delivery_date',
    numeric: 'exchange_rate price_precision sub_total tax_total total discount discount_amount adjustment',
    boolean: 'is_inclusive_tax is_drop_shipment is_emailed',
    jsonb: 'line_items taxes billing_address delivery_address bills custom_fields tags',
  }),
  view('books_vendor_payments', 'vendorpayment', 'payment_id', {
    text: `payment_number vendor_id vendor_name payment_mode description reference_number paid_through_account_id
      paid_through_account_name currency_id currency_code currency_symbol`,
    date: 'date',
    numeric: 'exchange_rate amount balance',
    boolean: 'is_paid_via_print_check',
    time: 'updated_time',
    jsonb: 'bills vendorpayment_refunds custom_fields tags',
  }),
  view('books_vendor_credits', 'vendorcredit', 'vendor_credit_id', {
    text: `vendor_credit_number reference_number status vendor_id vendor_name currency_id currency_code
      currency_symbol notes`,
    date: 'date',
    numeric: `exchange_rate price_precision sub_total tax_total total balance total_credits_used
      total_refunded_amount`,
    boolean: 'is_inclusive_tax',
    jsonb: 'line_items bills_credited custom_fields tags',
  }),
  view('books_expenses', 'expense', 'expense_id', {
    text: `status transaction_type account_id account_name paid_through_account_id paid_through_account_name vendor_id
      vendor_name customer_id customer_name project_id project_name invoice_id invoice_number employee_id
      employee_name reference_number description currency_id currency_code currency_symbol tax_id tax_name`,
    date: 'date',
    numeric: `exchange_rate amount sub_total tax_amount total bcy_total tax_percentage distance mileage_rate`,
    boolean: 'is_billable is_inclusive_tax',
    jsonb: 'line_items custom_fields tags',
  }),
];

const LEDGER = [
  view('books_journals', 'journal', 'journal_id', {
    text: `entry_number reference_number journal_type status notes currency_id currency_code currency_symbol`,
    date: 'journal_date',
    numeric: 'exchange_rate price_precision line_item_total total bcy_total',
    jsonb: 'line_items taxes custom_fields tags',
  }),
  view('books_inventory_adjustments', 'inventoryadjustment', 'inventory_adjustment_id', {
    text: `reference_number status reason reason_id description adjustment_type account_id account_name warehouse_id
      warehouse_name`,
    date: 'date',
    numeric: 'total',
    jsonb: 'line_items custom_fields',
  }),
];

const LINE: Fields = {
  text: 'line_item_id item_id name description unit account_id account_name tax_id tax_name',
  numeric: 'quantity rate bcy_rate sales_rate discount discount_amount tax_percentage item_total',
  jsonb: 'tags item_custom_fields',
};
const LINE_MEANINGS: readonly Meaning[] = [
  ['invoice_id', 'id of the invoice, as in books_invoices'],
  ['line_no', 'place of the line on the invoice'],
  ['record', 'the line as Zoho sent it'],
];

// `item_order` is Zoho's; a custom template may leave it out. A record whose line_items is "" or missing has no lines.
const INVOICE_LINES = `
create view books_invoice_lines as
select organization_id, invoice_id, coalesce(books_numeric(record ->> 'item_order'), ordinality) as line_no,
  ${columnsOf(LINE).join(', ')}, ${OF_EVERY_ROW.join(', ')}, record
from (
  select organization_id, entity_id as invoice_id, version, deleted_at, stale_since, complete, line.record, ordinality
  from books_records as invoice cross join lateral jsonb_array_elements(
    case jsonb_typeof(invoice.record -> 'line_items') when 'array' then invoice.record -> 'line_items' else '[]' end
  ) with ordinality as line (record, ordinality)
  where module = 'invoice'
) as line;
comment on view books_invoice_lines is 'lines of deleted invoices included: add "where not deleted"';
${comments('books_invoice_lines', [...meaningsOf(LINE), ...LINE_MEANINGS, ...MEANING_OF_EVERY_ROW])}
`;
