import { type Kysely, sql } from 'kysely';

/**
 * What the nightly purge needs: where it has come to, and indexes by the time at which a row ended. Each index holds ended
 * rows only, so that it costs nothing while a row lives: an update that leaves the null in place stays HOT.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(PROGRESS).execute(db);
  await sql.raw(INDEXES).execute(db);
}

const PROGRESS = `
create table tds_purge_progress (
  step text primary key,
  queued_at timestamptz not null,
  id uuid not null
);
comment on table tds_purge_progress is 'events up to here, by queued_at and id, need not be looked at again';
`;

const INDEXES = `
create index tds_dead_letter_queue_resolved on tds_dead_letter_queue (resolved_at) where resolved_at is not null;
create index tds_alerts_resolved on tds_alerts (resolved_at) where resolved_at is not null;
create index tds_workers_ended on tds_workers (ended_at) where ended_at is not null;
`;
