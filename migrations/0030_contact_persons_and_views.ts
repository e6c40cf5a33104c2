import { type Kysely, sql } from 'kysely';

/**
 * Records within others (contact persons) are judged by a reconciliation like every other module; and the modules that no
 * webhook announces have typed views, histories and lines, as those of 0003 and 0012 are.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(ROWS).execute(db);
  for (const { view, history, ...how } of VIEWS) {
    await sql.raw(recordView(view, how)).execute(db);
    await createHistory(db, view, history);
    for (const one of [view, history]) await register(db, one, how.module, 'custom_fields');
  }
  for (const [view, module, id] of LINES) {
    await sql.raw(lineView(view, module, id)).execute(db);
    await register(db, view, module, 'item_custom_fields');
  }
}

const ROWS = `
alter table tds_pull_rows add column without_id integer not null default 0 check (without_id >= 0);
comment on column tds_pull_rows.without_id is
  'entries within this record that should be records of their own (contact persons of a contact) and have no id';
comment on column tds_pull_rows.row_hash is
  'SHA-256 of the list row whose record was fetched, or of the record within another; null once it stands there no more';
`;

/** Names of fields, separated by blanks, under the type they have in the view. */
type Fields = { text: string; date?: string; numeric?: string; boolean?: string; time?: string; jsonb?: string };
type Meaning = readonly [column: string, meaning: string];

const MEANING: Record<keyof Fields, string> = {
  text: 'as Zoho writes it; null when empty',
  date: 'day in the calendar of the organization; null when empty or no date',
  numeric:
    'exact decimal; null when empty or no number; money is in the currency of the record, unless it is bcy: base currency',
  boolean: 'null when empty',
  time: 'instant; null when empty or without an offset',
  jsonb: 'as Zoho writes it; null when it is neither a list nor an object',
};

const read = (type: keyof Fields, field: string) =>
  `books_${type}(record ${type === 'jsonb' ? '->' : '->>'} '${field}') as ${field}`;

const words = (list = '') => list.split(/\s+/).filter((word) => word !== '');
const fieldsOf = (fields: Fields) =>
  (Object.keys(fields) as (keyof Fields)[]).flatMap((type) => words(fields[type]).map((field) => ({ type, field })));
const columnsOf = (fields: Fields) => fieldsOf(fields).map(({ type, field }) => read(type, field));
const meaningsOf = (fields: Fields) => fieldsOf(fields).map(({ type, field }): Meaning => [field, MEANING[type]]);
const comments = (view: string, meanings: readonly Meaning[]) =>
  meanings.map(([column, meaning]) => `comment on column ${view}.${column} is '${meaning}';`).join('\n');

const OF_EVERY_ROW = ['version', 'deleted_at is not null as deleted', 'deleted_at', 'stale_since', 'complete'];
const MEANING_OF_EVERY_ROW: readonly Meaning[] = [
  ['organization_id', 'organization in Zoho Books'],
  ['version', 'last change that this row knows of; where Zoho tells no time, when it was fetched'],
  ['deleted', 'deleted in Zoho Books; the row shows the last state known'],
  ['deleted_at', 'when we learned of the deletion'],
  [
    'stale_since',
    'since when a newer state is known to exist that this row does not show yet; null when it is current',
  ],
  ['complete', 'false while only parts of the record have arrived: a null may mean not known'],
];
const OF_EVERY_RECORD: Fields = {
  text: '',
  time: 'created_time last_modified_time',
  jsonb: 'custom_field_hash',
};

/** `first`: a column that no field of the record gives, with what it means. */
type RecordView = { module: string; id: string; fields: Fields; first?: { column: string; meaning: Meaning } };

// The id comes from the row, not from the record: it is indexed.
function recordView(view: string, { module, id, fields, first }: RecordView): string {
  const columns = [
    ...['organization_id', `entity_id as ${id}`, ...(first ? [first.column] : [])],
    ...[...columnsOf(fields), ...columnsOf(OF_EVERY_RECORD), ...OF_EVERY_ROW, 'record'],
  ];
  const meanings: readonly Meaning[] = [
    ...[...meaningsOf(fields), ...meaningsOf(OF_EVERY_RECORD), ...MEANING_OF_EVERY_ROW],
    [id, 'id in Zoho Books'],
    ['record', 'the whole record as Zoho sent it'],
    ...(first ? [first.meaning] : []),
  ];
  return `create view ${view} as select ${columns.join(', ')} from books_records where module = '${module}';
    comment on view ${view} is 'deleted records included: add "where not deleted"';
    ${comments(view, meanings)}`;
}

// A person's record does not name its contact; what was pulled remembers in which it stood.
const CONTACT_OF_PERSON = `coalesce(books_text(record ->> 'contact_id'), (
  select known.within from tds_pull_rows known where known.module = 'contactperson'
    and known.entity_id = books_records.entity_id and known.organization_id = books_records.organization_id)) as contact_id`;

const VIEWS: readonly (RecordView & { view: string; history: string })[] = [
  {
    ...{ view: 'books_chart_of_accounts', history: 'books_chart_of_account_history' },
    ...{ module: 'chartofaccount', id: 'account_id' },
    fields: {
      text: `account_name account_code account_type account_type_formatted description currency_id currency_code
        parent_account_id parent_account_name`,
      numeric: 'depth child_count current_balance closing_balance',
      boolean: `is_active is_user_created is_system_account is_standalone_account is_involved_in_transaction
        is_child_present can_show_in_ze has_attachment`,
      jsonb: 'custom_fields tags',
    },
  },
  {
    ...{ view: 'books_bank_accounts', history: 'books_bank_account_history' },
    ...{ module: 'bankaccount', id: 'account_id' },
    fields: {
      text: `account_name account_code account_number account_type bank_name routing_number description currency_id
        currency_code currency_symbol paypal_type paypal_email_address`,
      numeric: 'price_precision balance bank_balance bcy_balance uncategorized_transactions total_unprinted_checks',
      boolean: 'is_active is_primary_account is_paypal_account is_direct_paypal',
      jsonb: 'custom_fields tags',
    },
  },
  {
    ...{ view: 'books_bank_transactions', history: 'books_bank_transaction_history' },
    ...{ module: 'banktransaction', id: 'transaction_id' },
    fields: {
      text: `transaction_type status source debit_or_credit account_id account_name account_type from_account_id
        from_account_name to_account_id to_account_name offset_account_name customer_id customer_name vendor_id
        vendor_name payee payment_mode reference_number description imported_transaction_id tax_id tax_name
        currency_id currency_code currency_symbol`,
      date: 'date',
      numeric: `amount exchange_rate price_precision sub_total tax_amount tax_percentage total bcy_total bank_charges`,
      boolean: 'is_inclusive_tax',
      jsonb: 'line_items from_account_tags to_account_tags imported_transactions custom_fields tags',
    },
  },
  {
    ...{ view: 'books_taxes', history: 'books_tax_history', module: 'tax', id: 'tax_id' },
    fields: {
      text: `tax_name tax_type tax_specific_type tax_factor status tax_authority_id tax_authority_name country
        country_code tax_account_id output_tax_account_name purchase_tax_account_id purchase_tax_account_name
        purchase_tax_expense_account_id`,
      date: 'start_date end_date',
      numeric: 'tax_percentage',
      boolean: 'is_value_added is_default_tax is_editable is_inactive',
      jsonb: 'taxes custom_fields',
    },
  },
  {
    ...{ view: 'books_currencies', history: 'books_currency_history', module: 'currency', id: 'currency_id' },
    fields: {
      text: 'currency_code currency_name currency_symbol currency_format',
      date: 'effective_date',
      numeric: 'price_precision exchange_rate',
      boolean: 'is_base_currency',
      jsonb: 'custom_fields',
    },
  },
  {
    ...{ view: 'books_users', history: 'books_user_history', module: 'user', id: 'user_id' },
    fields: {
      text: 'name email status user_role user_type role_id role_name mobile photo_url',
      numeric: 'cost_rate',
      boolean: `is_current_user is_customer_segmented is_vendor_segmented is_employee is_super_admin`,
      jsonb: 'email_ids custom_fields',
    },
  },
  {
    ...{ view: 'books_retainer_invoices', history: 'books_retainer_invoice_history' },
    ...{ module: 'retainerinvoice', id: 'retainerinvoice_id' },
    fields: {
      text: `retainerinvoice_number status customer_id customer_name reference_number currency_id currency_code
        currency_symbol project_id project_name estimate_id estimate_number salesperson_id salesperson_name notes terms
        template_id template_name invoice_url`,
      date: 'date last_payment_date',
      numeric: `exchange_rate price_precision sub_total tax_total total bcy_total payment_made payment_drawn balance`,
      boolean: 'is_inclusive_tax is_emailed is_viewed_by_client allow_partial_payments',
      time: 'client_viewed_time',
      jsonb: 'line_items taxes billing_address shipping_address custom_fields tags',
    },
  },
  {
    ...{ view: 'books_recurring_invoices', history: 'books_recurring_invoice_history' },
    ...{ module: 'recurringinvoice', id: 'recurring_invoice_id' },
    fields: {
      text: `recurrence_name status reference_number customer_id customer_name recurrence_frequency currency_id
        currency_code currency_symbol payment_terms_label discount_type adjustment_description salesperson_id
        salesperson_name project_id project_name notes terms template_id template_name`,
      date: 'start_date end_date last_sent_date next_invoice_date',
      numeric: `repeat_every payment_terms exchange_rate price_precision sub_total tax_total total bcy_total discount
        discount_total adjustment shipping_charge`,
      boolean: 'is_inclusive_tax is_discount_before_tax allow_partial_payments',
      jsonb: 'line_items taxes billing_address shipping_address custom_fields tags',
    },
  },
  {
    ...{ view: 'books_contact_persons', history: 'books_contact_person_history' },
    ...{ module: 'contactperson', id: 'contact_person_id' },
    first: {
      column: CONTACT_OF_PERSON,
      meaning: ['contact_id', 'contact in whose record the person stands, as in books_contacts'],
    },
    fields: {
      text: `salutation first_name last_name email phone mobile fax designation department skype`,
      boolean: 'is_primary_contact enable_portal is_added_in_portal',
      jsonb: 'communication_preference custom_fields',
    },
  },
];

const LINES: readonly (readonly [view: string, module: string, id: string])[] = [
  ['books_retainer_invoice_lines', 'retainerinvoice', 'retainerinvoice_id'],
  ['books_recurring_invoice_lines', 'recurringinvoice', 'recurring_invoice_id'],
];

const LINE: Fields = {
  text: 'line_item_id item_id name description unit account_id account_name tax_id tax_name project_id project_name',
  numeric: 'quantity rate bcy_rate discount discount_amount tax_percentage item_total',
  jsonb: 'tags item_custom_fields',
};

// A record whose line_items is "" or missing has no lines.
function lineView(view: string, module: string, id: string): string {
  const meanings: readonly Meaning[] = [
    ...[...meaningsOf(LINE), ...MEANING_OF_EVERY_ROW],
    [id, 'id of the record in Zoho Books'],
    ['line_no', 'place of the line in the record'],
    ['record', 'the line as Zoho sent it'],
  ];
  return `create view ${view} as
    select organization_id, ${id}, coalesce(books_numeric(record ->> 'item_order'), ordinality) as line_no,
      ${columnsOf(LINE).join(', ')}, ${OF_EVERY_ROW.join(', ')}, record
    from (
      select organization_id, entity_id as ${id}, version, deleted_at, stale_since, complete, line.record, ordinality
      from books_records as whole cross join lateral jsonb_array_elements(
        case jsonb_typeof(whole.record -> 'line_items') when 'array' then whole.record -> 'line_items' else '[]' end
      ) with ordinality as line (record, ordinality)
      where module = '${module}'
    ) as line;
    comment on view ${view} is 'lines of deleted records included: add "where not deleted"';
    ${comments(view, meanings)}`;
}

// The module's own view, over one version at a time; the planner makes one query of it.
async function createHistory(db: Kysely<unknown>, view: string, history: string): Promise<void> {
  const { rows: definitions } = await sql<{ text: string }>`
    select rtrim(pg_get_viewdef(to_regclass(${view})), ';') as text`.execute(db);
  const ofOne = definitions[0]?.text.replace('FROM books_records', 'FROM (select v.*) AS books_records');
  await sql
    .raw(`create view ${history} as
    select v.valid_from, v.valid_to, v.event_id, v.source as event_source, typed.*
    from books_record_versions v cross join lateral (${ofOne}) as typed;
    comment on view ${history} is
      'every version of every record, as long as HISTORY_DAYS keeps it; valid_to is null for the one that stands'`)
    .execute(db);
  const { rows } = await sql<{ name: string; meaning: string }>`
    select attname as name, col_description(attrelid, attnum) as meaning from pg_attribute
    where attrelid = to_regclass(${view}) and attnum > 0`.execute(db);
  const meanings = [...rows.map(({ name, meaning }): Meaning => [name, meaning]), ...OF_VERSION];
  await sql.raw(comments(history, meanings)).execute(db);
}

const OF_VERSION: readonly Meaning[] = [
  ['valid_from', 'when this version came into the mirror'],
  ['valid_to', 'when it was replaced or removed; null for the version that stands'],
  ['event_id', 'event that brought this version, as in tds_inbox_events'],
  ['event_source', 'webhook or pull'],
];

async function register(db: Kysely<unknown>, view: string, module: string, list: string): Promise<void> {
  await sql`insert into books_views (view, module, list) values (${view}, ${module}, ${list})`.execute(db);
}
