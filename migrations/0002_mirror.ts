import { type Kysely, sql } from 'kysely';

/** The mirror: one row per Zoho Books record, the record as Zoho sent it. The typed views of 0003 read from it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(BOOKS_RECORDS).execute(db);
}

// The primary key starts with the module, then the id, because analysts ask a view for a whole module or for one id
// and rarely name the organization; one index serves both, and the reconciler's walk in id order.
// Collation "C": ids are compared byte by byte, which is cheaper and the same on every server.
// fillfactor 80: room on the page for one more version of a 1.5 KB record, so that an update touches no index (HOT);
// that is also why no changing column (version, deleted_at, record) has an index. The one on stale_since costs an update
// nothing as long as stale_since stays null (measured: all such updates are HOT).
// autovacuum: the defaults wait for 20 % dead rows, a million in a mirror of five million; 2 % keeps the pages roomy.
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
