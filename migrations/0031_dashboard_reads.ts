import { type Kysely, sql } from 'kysely';

/** What lets the dashboard read at any size of the tables: dead letters by time and cause, and runs by their end. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [LETTERS, FOLLOW, FILL, RUNS]) await sql.raw(statements).execute(db);
}

const LETTERS = `
alter table tds_dead_letter_queue
  add column queued_at timestamptz, add column cause_key text collate "C", add column cause_message text;
comment on column tds_dead_letter_queue.queued_at is 'that of its event in tds_sync_queue, which it follows';
comment on column tds_dead_letter_queue.cause_key is
  'the fingerprint of the attempt that killed it; of one without an attempt, tds_fingerprint of what its error says';
comment on column tds_dead_letter_queue.cause_message is 'tds_error_template of the message of that attempt or error';
create index tds_dead_letter_queue_by_arrival on tds_dead_letter_queue (queued_at desc, id desc) where resolved_at is null;
-- Groups are counted in the index alone: the rows hold payloads.
drop index tds_dead_letter_queue_open;
create index tds_dead_letter_queue_open on tds_dead_letter_queue (moved_to_dlq_at desc, id desc)
  include (cause_key, kind, event_type) where resolved_at is null;
create index tds_dead_letter_queue_by_cause on tds_dead_letter_queue (cause_key) where resolved_at is null;
`;

// The failure of the attempt that kills an event is written after its letter, by whoever ends the attempt, who then names
// the cause. The names of triggers are their order: this one runs before those that announce the letter.
const FOLLOW = `
create function tds_dead_letter_cause() returns trigger language plpgsql set search_path = public
set enable_seqscan = off as $$
begin
  new.queued_at := coalesce((select queued_at from tds_sync_queue where id = new.id), new.moved_to_dlq_at);
  new.cause_key := null;
  if new.kind = 'failed' then
    select fingerprint, message into new.cause_key, new.cause_message from tds_failures
    where event_id = new.id order by created_at desc limit 1;
  end if;
  if new.cause_key is null then
    new.cause_message := tds_error_template(left(new.last_error, 500));
    new.cause_key := tds_fingerprint(new.error_tag, new.cause_message, case new.kind when 'quarantined' then 'intake' else '' end);
  end if;
  return new;
end $$;
create trigger tds_dead_letter_queue_cause before insert or update of error_tag, last_error, kind
  on tds_dead_letter_queue for each row execute function tds_dead_letter_cause();
alter table tds_dead_letter_queue enable always trigger tds_dead_letter_queue_cause;

create function tds_dead_letter_queued() returns trigger language plpgsql set search_path = public
set enable_seqscan = off as $$
begin
  update tds_dead_letter_queue set queued_at = new.queued_at where id = new.id;
  return null;
end $$;
create trigger tds_sync_queue_dead_letter_queued after update of queued_at on tds_sync_queue
  for each row when (old.queued_at is distinct from new.queued_at) execute function tds_dead_letter_queued();
alter table tds_sync_queue enable always trigger tds_sync_queue_dead_letter_queued;
`;

const FILL = `
update tds_dead_letter_queue set error_tag = error_tag;
alter table tds_dead_letter_queue alter column queued_at set not null, alter column cause_key set not null,
  alter column cause_message set not null;
`;

// Only runs that have ended: one that goes on moves updated_at with every page.
const RUNS = `
create index tds_workflows_ended on tds_workflows (updated_at) where status in ('completed', 'failed', 'terminated');
`;
