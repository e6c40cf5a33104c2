import { type Kysely, sql } from 'kysely';

/** When an event was last set back to wait, so that the lists show it among the latest and its wait is counted from then. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(REQUEUED).execute(db);
}

// By a trigger, so that a retry typed in psql counts as one, too. Only rows that were set back are in the index.
const REQUEUED = `
alter table tds_sync_queue add column requeued_at timestamptz;
comment on column tds_sync_queue.requeued_at is
  'when it last went back to pending after it had ended, by a retry, replay or release; null: never';
create index tds_sync_queue_requeued_at on tds_sync_queue (requeued_at desc, id desc) where requeued_at is not null;

create function tds_queue_requeued() returns trigger language plpgsql as $$
begin
  new.requeued_at := now();
  return new;
end $$;
create trigger tds_sync_queue_requeued before update of status on tds_sync_queue
  for each row when (old.status in ('completed', 'dead_letter') and new.status = 'pending')
  execute function tds_queue_requeued();
alter table tds_sync_queue enable always trigger tds_sync_queue_requeued;
`;
