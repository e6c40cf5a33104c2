import { type Kysely, sql } from 'kysely';

/** What `tds` shows and does beyond the queue: the scopes of a token, and workers that an operator drained. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [SCOPES, DRAINED]) await sql.raw(statements).execute(db);
}

const SCOPES = `
alter table tds_zoho_tokens add column scopes text[];
comment on column tds_zoho_tokens.scopes is 'what the token may do, as Zoho said when it gave it; null when it did not say';
`;

// A claim holds its worker's lock in share mode from its BEGIN on, and looks at drained_at after that. So whoever
// changes the column waits for the claims under way, and every later claim of the worker sees the change.
const DRAINED = `
alter table tds_workers add column drained_at timestamptz, add column drained_by text;
comment on column tds_workers.drained_at is 'since when it claims nothing more, although it runs; null when it claims';
comment on column tds_workers.drained_by is 'the operator who drained it';
create function tds_await_claims_of_worker() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock(hashtextextended(new.worker_id::text, 0));
  return new;
end $$;
create trigger tds_workers_drained before update of drained_at on tds_workers
  for each row when (old.drained_at is distinct from new.drained_at) execute function tds_await_claims_of_worker();
alter table tds_workers enable always trigger tds_workers_drained;
`;
