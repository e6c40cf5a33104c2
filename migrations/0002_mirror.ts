import { type Kysely, sql } from 'kysely';

/**
 * The mirror: one row per Zoho Books record, the record as Zoho sent it. The typed views of 0003 read from it, by casts that
 * never fail.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(BOOKS_RECORDS).execute(db);
  await sql.raw(SAFE_CASTS).execute(db);
}

// The primary key starts with the module, then the id, because analysts ask a view for a whole module or for one id
// and rarely name the organization; one index serves both, and the reconciler's walk in id order.
// Collation "C": ids are compared byte by byte, which is cheaper and the same on every server.
// fillfactor 80: room on the page for one more version of a 1.5 KB record, so that an update touches no index (HOT);
// that is also why no changing column (version, deleted_at, record) has an index. The one on stale_since costs an update
// nothing as long as stale_since stays null: such updates stay HOT (a test looks).
// autovacuum: the defaults wait for 20 % dead rows, a million in a mirror of five million; 2 % keeps the pages roomy. It
// also analyzes the table within a minute of its first 50 rows (autovacuum_naptime), and again with every 2 %: measured
// 51 s after a first load of 75,000 rows. Until then a join of payments and invoices did not end within 40 s, afterwards
// it took 1.4 s; the other queries of README differed little. So nothing of ours has to call ANALYZE.
const BOOKS_RECORDS = `
create table books_records (
  organization_id text collate "C" not null,
  module text collate "C" not null,
  entity_id text collate "C" not null,
  version timestamptz,
  received_at timestamptz not null default now(),
  deleted_at timestamptz,
  updated_at timestamptz not null default now(),
  stale_since timestamptz,
  stale_version timestamptz,
  stale_received_at timestamptz,
  complete boolean not null default true,
  event_id uuid,
  source text not null default 'webhook',
  record jsonb not null check (jsonb_typeof(record) = 'object'),
  primary key (module, entity_id, organization_id),
  check (deleted_at is null or version is not null),
  check (deleted_at is null or stale_since is null),
  check (stale_since is not null or (stale_version is null and stale_received_at is null))
) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

create index books_records_stale on books_records (organization_id, module, stale_since) where stale_since is not null;

comment on table books_records is 'Zoho Books, record by record; a deleted record stays as a tombstone (deleted_at set)';
comment on column books_records.module is 'canonical singular name, as in event_type: invoice, customerpayment';
comment on column books_records.version is
  'what an incoming record must not be older than: its last_modified_time, or the arrival of its delete';
comment on column books_records.received_at is 'when the event that wrote this row arrived; decides between equal versions';
comment on column books_records.stale_since is
  'since when we know of a newer state than this one without having it in full; null when the record is current';
comment on column books_records.stale_version is
  'newest version that a partial body told of: a full record at least as new makes the row current again';
comment on column books_records.stale_received_at is
  'when the last partial body without a version arrived: a full record received later makes the row current again';
comment on column books_records.complete is 'false while no full record has arrived, only bodies with some of its fields';
comment on column books_records.event_id is 'the tds_inbox_events row that wrote this row last';
comment on column books_records.record is 'the record as Zoho sent it, every digit kept';
`;

// Zoho writes "" and " " for null, even in numbers and dates, and custom templates write numbers as text: "598.00".
// PostgreSQL 15 has no pg_input_is_valid, and an exception block per value would make a view slow, so each cast
// first asks a pattern that only lets through what the cast accepts. The lengths are bounded: 1e130000 is a valid
// numeric and 130 kB of text. [0-9], not \d, which takes other scripts' digits in some locales. A time without an offset is no instant, hence null.
// Immutable although text to timestamptz is only stable: with an ISO date and an offset no setting has a say.
const SAFE_CASTS = `
create function books_text(value text) returns text language sql immutable parallel safe
return case when btrim(value) <> '' then value end;

create function books_numeric(value text) returns numeric language sql immutable parallel safe
return case when btrim(value) ~ '^[-+]?([0-9]{1,40}([.][0-9]{0,40})?|[.][0-9]{1,40})([eE][-+]?[0-9]{1,2})?$'
  then value::numeric end;

create function books_boolean(value text) returns boolean language sql immutable parallel safe
return case lower(btrim(value)) when 'true' then true when 'false' then false end;

create function books_jsonb(value jsonb) returns jsonb language sql immutable parallel safe
return case when jsonb_typeof(value) in ('object', 'array') then value end;

create function books_date(value text) returns date language plpgsql immutable parallel safe as $$
declare
  first_of_month date;
  result date;
begin
  if value is null or value !~ '^[1-9][0-9]{3}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$' then return null; end if;
  first_of_month := make_date(substr(value, 1, 4)::int, substr(value, 6, 2)::int, 1);
  result := first_of_month + substr(value, 9, 2)::int - 1;
  -- 2026-02-30 would be 2026-03-02
  return case when date_trunc('month', result) = first_of_month then result end;
end $$;

create function books_time(value text) returns timestamptz language plpgsql immutable parallel safe as $$
begin
  if substr(value, 11) ~ '^[T ]([01][0-9]|2[0-3])(:[0-5][0-9]){2}([.][0-9]{1,9})?(Z|[-+](0[0-9]|1[0-4]):?[0-5][0-9])$'
    and books_date(left(value, 10)) is not null
  then return value::timestamptz; end if;
  return null;
end $$;
`;
