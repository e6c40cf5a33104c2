import { type Kysely, sql } from 'kysely';

/**
 * More views for people who read the mirror with SQL: the lines of every module that has lines, the past of every module
 * (`books_<module>_history`), amounts in base currency, and the custom fields as columns.
 *
 * Which custom fields there are differs from organization to organization, so `books_refresh_views()` adds a column for
 * each that was seen. A view only ever grows at its end (CREATE OR REPLACE VIEW): its columns keep their names, types and
 * places, and what depends on it, or what an analyst added to it, stays.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const [view, fields] of BASE_CURRENCY) await appendAmounts(db, view, fields);
  for (const [view, module, id, fields] of LINES) await sql.raw(lineView(view, module, id, fields)).execute(db);
  await sql.raw(CUSTOM_FIELDS).execute(db);
  await sql.raw(REFRESH).execute(db);
  for (const [view, module, history] of VIEWS) {
    await createHistory(db, view, history);
    for (const one of [view, history]) await register(db, one, module, 'custom_fields');
  }
  for (const [view, module] of [...LINES, ['books_invoice_lines', 'invoice'] as const])
    await register(db, view, module, 'item_custom_fields');
}

// Where Zoho sends them. A field that an edition or a country lacks is null.
const BASE_CURRENCY: readonly (readonly [view: string, fields: string])[] = [
  ['books_invoices', 'bcy_discount_total bcy_adjustment bcy_shipping_charge'],
  ['books_sales_orders', 'bcy_sub_total bcy_tax_total bcy_discount_total bcy_adjustment bcy_shipping_charge'],
  ['books_estimates', 'bcy_sub_total bcy_tax_total bcy_discount_total bcy_adjustment bcy_shipping_charge'],
  ['books_credit_notes', 'bcy_sub_total bcy_tax_total bcy_total bcy_discount_total bcy_adjustment bcy_shipping_charge'],
  ['books_bills', 'bcy_sub_total bcy_tax_total bcy_total bcy_adjustment'],
  ['books_purchase_orders', 'bcy_sub_total bcy_tax_total bcy_total bcy_adjustment'],
  ['books_vendor_credits', 'bcy_sub_total bcy_tax_total bcy_total'],
  ['books_customer_payments', 'bcy_amount bcy_unused_amount bcy_refunded_amount'],
  ['books_vendor_payments', 'bcy_amount'],
  ['books_expenses', 'bcy_sub_total bcy_amount'],
];

async function appendAmounts(db: Kysely<unknown>, view: string, fields: string): Promise<void> {
  const columns = fields.split(' ').map((field) => `books_numeric(base.record ->> '${field}') as ${field}`);
  await sql
    .raw(`create or replace view ${view} as select base.*, ${columns.join(', ')}
    from (${await definitionOf(db, view)}) as base`)
    .execute(db);
  for (const field of fields.split(' '))
    await comment(db, view, field, 'exact decimal in base currency; null when empty');
}

async function definitionOf(db: Kysely<unknown>, view: string): Promise<string> {
  const { rows } = await sql<{ text: string }>`
    select rtrim(pg_get_viewdef(to_regclass(${view})), ';') as text`.execute(db);
  return rows[0]?.text ?? '';
}

const comment = (db: Kysely<unknown>, view: string, column: string, meaning: string) =>
  sql.raw(`comment on column ${view}.${column} is '${meaning}'`).execute(db);

type LineFields = { text: string; numeric: string };

const GOODS = 'line_item_id item_id name description unit account_id account_name tax_id tax_name';
const AMOUNTS = 'quantity rate bcy_rate discount discount_amount tax_percentage item_total';
const SOLD: LineFields = { text: GOODS, numeric: AMOUNTS };
const BOUGHT: LineFields = { text: `${GOODS} customer_id customer_name project_id project_name`, numeric: AMOUNTS };
const SPENT: LineFields = {
  text: 'line_item_id account_id account_name description tax_id tax_name project_id project_name',
  numeric: 'amount bcy_amount tax_amount tax_percentage item_total',
};
const POSTED: LineFields = {
  text: 'line_id account_id account_name description debit_or_credit customer_id customer_name tax_id tax_name project_id',
  numeric: 'amount bcy_amount tax_percentage exchange_rate',
};
const COUNTED: LineFields = {
  text: 'line_item_id item_id name description unit warehouse_id warehouse_name adjustment_account_id',
  numeric: 'quantity_adjusted value_adjusted asset_price new_value current_value item_total',
};

const LINES: readonly (readonly [view: string, module: string, id: string, fields: LineFields])[] = [
  ['books_estimate_lines', 'estimate', 'estimate_id', SOLD],
  ['books_sales_order_lines', 'salesorder', 'salesorder_id', SOLD],
  ['books_credit_note_lines', 'creditnote', 'creditnote_id', SOLD],
  ['books_bill_lines', 'bill', 'bill_id', BOUGHT],
  ['books_purchase_order_lines', 'purchaseorder', 'purchaseorder_id', BOUGHT],
  ['books_vendor_credit_lines', 'vendorcredit', 'vendor_credit_id', BOUGHT],
  ['books_expense_lines', 'expense', 'expense_id', SPENT],
  ['books_journal_lines', 'journal', 'journal_id', POSTED],
  ['books_inventory_adjustment_lines', 'inventoryadjustment', 'inventory_adjustment_id', COUNTED],
];

const LINE_MEANINGS: Record<string, string> = {
  organization_id: 'organization in Zoho Books; default when the webhook named none',
  line_no: 'place of the line in the record',
  tags: 'as Zoho writes it; null when it is neither a list nor an object',
  item_custom_fields: 'as Zoho writes it; null when it is neither a list nor an object',
  version: 'last change that the row of the record knows of',
  deleted: 'the record is deleted in Zoho Books; the line shows the last state known',
  deleted_at: 'when we learned of the deletion',
  stale_since: 'since when a newer state is known to exist that this line does not show yet; null when it is current',
  complete: 'false while only parts of the record have arrived: a null may mean not known',
  record: 'the line as Zoho sent it',
};

// `item_order` is Zoho's; a custom template may leave it out. A record whose line_items is "" or missing has no lines.
function lineView(view: string, module: string, id: string, fields: LineFields): string {
  const [text, numeric] = [fields.text.split(' '), fields.numeric.split(' ')];
  const columns = [
    ...text.map((field) => `books_text(record ->> '${field}') as ${field}`),
    ...numeric.map((field) => `books_numeric(record ->> '${field}') as ${field}`),
    ...['tags', 'item_custom_fields'].map((field) => `books_jsonb(record -> '${field}') as ${field}`),
  ];
  const meanings = {
    ...LINE_MEANINGS,
    [id]: 'id of the record in Zoho Books',
    ...Object.fromEntries(text.map((field) => [field, 'as Zoho writes it; null when empty'])),
    ...Object.fromEntries(numeric.map((field) => [field, 'exact decimal; null when empty or no number'])),
  };
  return `create view ${view} as
    select organization_id, ${id}, coalesce(books_numeric(record ->> 'item_order'), ordinality) as line_no,
      ${columns.join(', ')}, version, deleted_at is not null as deleted, deleted_at, stale_since, complete, record
    from (
      select organization_id, entity_id as ${id}, version, deleted_at, stale_since, complete, line.record, ordinality
      from books_records as whole cross join lateral jsonb_array_elements(
        case jsonb_typeof(whole.record -> 'line_items') when 'array' then whole.record -> 'line_items' else '[]' end
      ) with ordinality as line (record, ordinality)
      where module = '${module}'
    ) as line;
    comment on view ${view} is 'lines of deleted records included: add "where not deleted"';
    ${Object.entries(meanings)
      .map(([column, meaning]) => `comment on column ${view}.${column} is '${meaning}';`)
      .join('\n')}`;
}

const VIEWS: readonly (readonly [view: string, module: string, history: string])[] = [
  ['books_contacts', 'contact', 'books_contact_history'],
  ['books_items', 'item', 'books_item_history'],
  ['books_invoices', 'invoice', 'books_invoice_history'],
  ['books_customer_payments', 'customerpayment', 'books_customer_payment_history'],
  ['books_sales_orders', 'salesorder', 'books_sales_order_history'],
  ['books_estimates', 'estimate', 'books_estimate_history'],
  ['books_credit_notes', 'creditnote', 'books_credit_note_history'],
  ['books_bills', 'bill', 'books_bill_history'],
  ['books_purchase_orders', 'purchaseorder', 'books_purchase_order_history'],
  ['books_vendor_payments', 'vendorpayment', 'books_vendor_payment_history'],
  ['books_vendor_credits', 'vendorcredit', 'books_vendor_credit_history'],
  ['books_expenses', 'expense', 'books_expense_history'],
  ['books_journals', 'journal', 'books_journal_history'],
  ['books_inventory_adjustments', 'inventoryadjustment', 'books_inventory_adjustment_history'],
];

// The module's own view, over one version at a time; the planner makes one query of it. `source` is a field of some modules.
async function createHistory(db: Kysely<unknown>, view: string, history: string): Promise<void> {
  const ofOne = (await definitionOf(db, view)).replace('FROM books_records', 'FROM (select v.*) AS books_records');
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
  for (const { name, meaning } of rows) await comment(db, history, name, meaning);
  for (const [name, meaning] of OF_VERSION) await comment(db, history, name, meaning);
}

const OF_VERSION = [
  ['valid_from', 'when this version came into the mirror'],
  ['valid_to', 'when it was replaced or removed; null for the version that stands'],
  ['event_id', 'event that brought this version, as in tds_inbox_events'],
  ['event_source', 'webhook or pull'],
] as const;

async function register(db: Kysely<unknown>, view: string, module: string, list: string): Promise<void> {
  await sql`insert into books_views (view, module, list) values (${view}, ${module}, ${list})`.execute(db);
}

// Zoho sends a custom field as an entry of a list ({api_name, label, value, data_type}; templates leave out some of it), or
// as keys of the record or of custom_field_hash, formatted for people, with the value proper under …_unformatted.
// A field is known by its api_name, or by its label where none was sent.
const CUSTOM_FIELDS = `
create function books_custom_field(list jsonb, record jsonb, field text, label text) returns text
language sql immutable parallel safe
return coalesce(
  jsonb_path_query_first(list, '$[*] ? (@.api_name == $f)', jsonb_build_object('f', field)) ->> 'value',
  jsonb_path_query_first(list, '$[*] ? (@.label == $l && ($f == $l || !exists (@.api_name)))',
    jsonb_build_object('f', field, 'l', label)) ->> 'value',
  record ->> (field || '_unformatted'), record ->> field,
  record -> 'custom_field_hash' ->> (field || '_unformatted'), record -> 'custom_field_hash' ->> field);
comment on function books_custom_field is 'the value of a custom field as text, wherever the record has it';

create function books_custom_field_type(entry jsonb) returns text language sql immutable parallel safe
return case
  when btrim(coalesce(entry ->> 'value', '')) = '' then null
  when entry ->> 'data_type' in ('number', 'decimal', 'amount', 'percent')
    then case when books_numeric(entry ->> 'value') is null then 'text' else 'numeric' end
  when coalesce(entry ->> 'data_type', 'date') not in ('date', 'date_time', 'datetime', 'check_box', 'boolean') then 'text'
  when jsonb_typeof(entry -> 'value') = 'number' and books_numeric(entry ->> 'value') is not null then 'numeric'
  when books_boolean(entry ->> 'value') is not null then 'boolean'
  when books_date(entry ->> 'value') is not null then 'date'
  when books_time(entry ->> 'value') is not null then 'time'
  else 'text'
end;
comment on function books_custom_field_type is 'text, numeric, boolean, date or time; null for an empty value';

create function books_custom_field_entries(list jsonb, record jsonb) returns setof jsonb language sql immutable
parallel safe as $$
  with listed as (
    select entry from jsonb_array_elements(case jsonb_typeof(list) when 'array' then list else '[]' end) as entry
    where jsonb_typeof(entry) = 'object' and coalesce(entry ->> 'api_name', entry ->> 'label', '') <> '')
  select entry from listed
  union all
  select jsonb_build_object('api_name', key, 'value', coalesce(fields -> (key || '_unformatted'), value))
  from (values (record), (books_jsonb(record -> 'custom_field_hash'))) as place (fields)
    cross join lateral jsonb_each(case jsonb_typeof(fields) when 'object' then fields else '{}' end)
  where key like 'cf\\_%' and key not like '%\\_unformatted' and jsonb_typeof(value) not in ('array', 'object')
    and not exists (select from listed where entry ->> 'api_name' = key)
$$;

create table books_custom_fields (
  module text collate "C" not null,
  list text not null check (list in ('custom_fields', 'item_custom_fields')),
  field text collate "C" not null,
  label text,
  type text check (type in ('text', 'numeric', 'boolean', 'date', 'time')),
  primary key (module, list, field)
);
comment on table books_custom_fields is 'custom fields that were seen in records';
comment on column books_custom_fields.module is 'canonical singular name, as in books_records';
comment on column books_custom_fields.list is 'custom_fields: of the record; item_custom_fields: of its lines';
comment on column books_custom_fields.field is 'api_name, or the label where none was sent';
comment on column books_custom_fields.label is 'as people see it in Zoho Books';
comment on column books_custom_fields.type is 'of all values seen; text when they differ; null while all were empty';

create table books_views (
  view text primary key,
  module text collate "C" not null,
  list text not null,
  base text,
  written text
);
comment on table books_views is 'views that get a column per custom field';
comment on column books_views.view is 'name';
comment on column books_views.module is 'module whose custom fields it shows';
comment on column books_views.list is 'those of the record or those of its lines, as in books_custom_fields';
comment on column books_views.base is 'its definition without the columns of books_view_columns that are not in_base';
comment on column books_views.written is 'its definition as books_refresh_views left it: another one was made by hand';

create table books_view_columns (
  view text not null references books_views on delete cascade,
  name text not null,
  field text collate "C" not null,
  label text,
  type text not null,
  place bigint generated always as identity,
  in_base boolean not null default false,
  primary key (view, name)
);
comment on table books_view_columns is 'columns that books_refresh_views added';
comment on column books_view_columns.view is 'view';
comment on column books_view_columns.name is 'column';
comment on column books_view_columns.field is 'as in books_custom_fields';
comment on column books_view_columns.label is 'as in books_custom_fields';
comment on column books_view_columns.type is 'type of the column; that of a column never changes';
comment on column books_view_columns.place is 'order among them';
comment on column books_view_columns.in_base is 'the definition by hand has it already';

create table books_custom_fields_progress (
  change_no bigint not null default 0,
  only_row boolean primary key default true check (only_row)
);
insert into books_custom_fields_progress default values;
comment on table books_custom_fields_progress is 'how far the records were searched for custom fields';
comment on column books_custom_fields_progress.change_no is 'changes up to here need not be looked at again';
comment on column books_custom_fields_progress.only_row is 'there is one row';
`;

// Two labels become one column name, or a label is longer than a name may be: then a number tells them apart.
const REFRESH = `
create function books_column_name(field text, suffix text, taken text[]) returns text language plpgsql immutable as $$
declare
  name text := trim(both '_' from regexp_replace(lower(field), '[^a-z0-9]+', '_', 'g'));
  number integer := 1;
  ending text := suffix;
begin
  name := case when name like 'cf\\_%' then name when name in ('', 'cf') then 'cf_field' else 'cf_' || name end;
  while left(name, 63 - length(ending)) || ending = any (taken) loop
    number := number + 1;
    ending := suffix || '_' || number;
  end loop;
  return left(name, 63 - length(ending)) || ending;
end $$;

create function books_note_custom_fields(up_to bigint) returns bigint language plpgsql set search_path = public
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare
  since bigint;
  newest bigint := (select last_no from books_change_counter);
  reached bigint := least(up_to, newest);
begin
  select change_no into since from books_custom_fields_progress for update;
  with changed as materialized (
    select r.module, r.record from books_change_parts(null, null) p
      cross join lateral (
        select entity_id from books_changes c where c.organization_id = p.organization_id and c.module = p.module
          and c.change_no > since and c.change_no <= coalesce(reached, newest)
        union all
        select entity_id from books_changes c where c.organization_id = p.organization_id and c.module = p.module
          and c.change_no is null and up_to is null) c
      cross join lateral (
        select module, record from books_records r
        where r.module = p.module and r.entity_id = c.entity_id and r.organization_id = p.organization_id offset 0) r),
  entries as (
    select module, 'custom_fields' as list, entry
    from changed cross join lateral books_custom_field_entries(record -> 'custom_fields', record) as entry
    union all
    select module, 'item_custom_fields', entry
    from changed cross join lateral jsonb_array_elements(
        case jsonb_typeof(record -> 'line_items') when 'array' then record -> 'line_items' else '[]' end) as line
      cross join lateral books_custom_field_entries(line -> 'item_custom_fields', line) as entry),
  told as materialized (
    select module, list, nullif(entry ->> 'api_name', '') as api_name, nullif(entry ->> 'label', '') as label,
      case when count(distinct books_custom_field_type(entry)) > 1 then 'text' else min(books_custom_field_type(entry)) end as type
    from entries group by 1, 2, 3, 4),
  named as (
    select t.module, t.list, t.label, t.type, coalesce(
      (select f.field from books_custom_fields f where f.module = t.module and f.list = t.list and f.field = t.api_name),
      (select min(f.field) from books_custom_fields f where f.module = t.module and f.list = t.list and f.label = t.label
        and (t.api_name is null or f.field = f.label)),
      t.api_name, min(t.api_name) over (partition by module, list, label), t.label) as field
    from told t)
  insert into books_custom_fields as known (module, list, field, label, type)
    select module, list, field, max(label), case when count(distinct type) > 1 then 'text' else min(type) end
    from named group by 1, 2, 3 order by 1, 2, 3
  on conflict (module, list, field) do update set label = coalesce(known.label, excluded.label),
    type = case when known.type <> excluded.type then 'text' else coalesce(known.type, excluded.type) end
  where known.label is null or excluded.type is distinct from known.type;
  update books_custom_fields_progress set change_no = coalesce(reached, newest);
  return newest - coalesce(reached, newest);
end $$;
comment on function books_note_custom_fields is
  'searches the records that changed, up to this change_no or all; returns how many numbers are left';

create function books_refresh_view(of_view text) returns table (name text, type text, field text)
language plpgsql set search_path = public set lock_timeout = '2s' as $$
#variable_conflict use_column
declare
  v books_views;
  f record;
  is_now text := pg_get_viewdef(to_regclass(of_view));
  taken text[];
begin
  select * into v from books_views where view = of_view;
  -- Made anew or extended by hand: what stands there is the base from now on.
  if is_now <> coalesce(v.written, '') then
    v.base := rtrim(is_now, ';');
    delete from books_view_columns c where c.view = of_view and not exists (
      select from pg_attribute a where a.attrelid = to_regclass(of_view) and a.attname = c.name);
    update books_view_columns c set in_base = true where c.view = of_view;
    update books_views set base = v.base, written = is_now where view = of_view;
  end if;
  select coalesce(array_agg(a.attname::text), '{}') into taken from pg_attribute a
  where a.attrelid = to_regclass(of_view) and a.attnum > 0;

  for f in
    select k.field, k.label, k.type, case when exists (
        select from books_view_columns c where c.view = of_view and c.field = k.field) then '_text' else '' end as suffix
    from books_custom_fields k
    where k.module = v.module and k.list = v.list and k.type is not null and not exists (
      select from books_view_columns c where c.view = of_view and c.field = k.field and c.type in (k.type, 'text'))
    order by k.field
  loop
    name := books_column_name(f.field, f.suffix, taken);
    type := case f.type when 'time' then 'timestamptz' else f.type end;
    field := f.field;
    taken := taken || name;
    insert into books_view_columns (view, name, field, label, type) values (of_view, name, f.field, f.label, f.type);
    return next;
  end loop;
  if not found and is_now is not null then return; end if;
  if v.base is null then raise exception 'the view is gone: create it again by hand'; end if;

  execute format('create or replace view %I as select base.*%s from (%s) as base', of_view, (
    select string_agg(format(', books_%s(books_custom_field(base.record -> %L, base.record, %L, %L)) as %I',
      c.type, v.list, c.field, coalesce(c.label, c.field), c.name), '' order by c.place)
    from books_view_columns c where c.view = of_view and not c.in_base), v.base);
  for f in select * from books_view_columns c where c.view = of_view and not c.in_base loop
    execute format('comment on column %I.%I is %L', of_view, f.name, format('custom field %s', coalesce(f.label, f.field)));
  end loop;
  update books_views set written = pg_get_viewdef(to_regclass(of_view)) where view = of_view;
end $$;

create function books_refresh_views(only_view text default null) returns table (view text, change text, name text, type text, detail text)
language plpgsql set search_path = public as $$
#variable_conflict use_column
declare
  v record;
  was_missing boolean;
begin
  if only_view is null then perform books_note_custom_fields(null); end if;
  for v in select w.view from books_views w where w.view = coalesce(only_view, w.view) order by w.view loop
    view := v.view;
    was_missing := to_regclass(v.view) is null;
    begin
      return query select v.view, 'column added', c.name, c.type, 'custom field ' || c.field from books_refresh_view(v.view) c;
      if was_missing then
        change := 'view created again'; name := null; type := null; detail := 'somebody had dropped it';
        return next;
      end if;
    exception when others then
      change := 'failed'; name := null; type := null; detail := sqlerrm;
      return next;
    end;
  end loop;
end $$;
comment on function books_refresh_views is
  'adds a column to the views (or to one) for each custom field seen since; says what it changed and what it could not';
`;
