import { type Kysely, sql } from 'kysely';

/** Records that have to be fetched alone: a webhook told of them in part, or a payment named them. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(REFETCHES).execute(db);
}

// One row per record, so that whoever asks twice asks once. It stays when the record has been fetched: what a payment
// named was announced by it.
const REFETCHES = `
create table tds_refetches (
  organization_id text collate "C" not null,
  module text collate "C" not null,
  entity_id text collate "C" not null,
  reason text not null check (reason in ('partial', 'named', 'stale')),
  version timestamptz,
  wanted_at timestamptz not null default clock_timestamp(),
  next_at timestamptz not null default now(),
  attempts integer not null default 0,
  deferrals integer not null default 0,
  last_error text,
  done_at timestamptz,
  primary key (module, entity_id, organization_id)
) with (autovacuum_vacuum_scale_factor = 0.05);
create index tds_refetches_waiting on tds_refetches (organization_id, next_at) where done_at is null;
create index tds_refetches_done on tds_refetches (done_at) where done_at is not null;
comment on table tds_refetches is 'records to be fetched from Zoho alone, before any backfill';
comment on column tds_refetches.organization_id is 'organization of Zoho Books';
comment on column tds_refetches.module is 'as in books_records';
comment on column tds_refetches.entity_id is 'the record';
comment on column tds_refetches.reason is 'partial: a webhook told of it in part; named: a payment names it; stale: its row is out of date for another reason';
comment on column tds_refetches.version is 'last_modified_time of what asked for it: of a payment also that of the record it changed';
comment on column tds_refetches.wanted_at is 'when it was asked for last: a fetch that began later is an answer';
comment on column tds_refetches.next_at is 'not before this';
comment on column tds_refetches.attempts is 'answers of Zoho in a row that were of no use for this very record';
comment on column tds_refetches.deferrals is 'how often in a row the API was away when its turn came; costs no attempt';
comment on column tds_refetches.last_error is 'why it was of no use, or away';
comment on column tds_refetches.done_at is 'when it was fetched, or found to be current; null while it waits';
`;
