import { type Kysely, sql } from 'kysely';

/**
 * Dead letters that an operator discarded or edited. Their events leave the queue, so that counts, list and
 * `tds_sync_queue` agree without a status of their own; what a restore needs stays with the dead letter.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [DISCARDED, KNOWN_EVENTS, EDITS]) await sql.raw(statements).execute(db);
}

// Computed, not kept: an event may get another organization while it is discarded. Its module is that of its type.
const ENTITY_KEY = `tds_entity_key(organization_id, split_part(event_type, '.', 1), entity_id, id)`;

// The mark ends when the dead letter opens again, whoever opens it.
const DISCARDED = `
alter table tds_dead_letter_queue
  add column discarded_at timestamptz,
  add column discarded_by text,
  add column discard_reason text,
  add column discarded_event jsonb,
  add constraint a_discarded_dead_letter_is_closed_and_says_who_and_why check (
    num_nulls(discarded_at, discarded_by, discard_reason, discarded_event) in (0, 4)
    and (discarded_at is null or resolved_at is not null));
comment on column tds_dead_letter_queue.discarded_at is 'when it was discarded or edited; null otherwise, and so are the next three';
comment on column tds_dead_letter_queue.discarded_by is 'the operator who discarded or edited it';
comment on column tds_dead_letter_queue.discard_reason is 'why, as the operator said';
comment on column tds_dead_letter_queue.discarded_event is
  'what its row of tds_sync_queue held that is not here: for tds_known_events and a restore';
create index tds_dead_letter_queue_discarded on tds_dead_letter_queue (moved_to_dlq_at desc, id desc)
  where discarded_at is not null;
create index tds_dead_letter_queue_discarded_entity on tds_dead_letter_queue ((${ENTITY_KEY}))
  where discarded_at is not null;

create function tds_discard_ended() returns trigger language plpgsql as $$
begin
  new.discarded_at := null;
  new.discarded_by := null;
  new.discard_reason := null;
  new.discarded_event := null;
  return new;
end $$;
create trigger tds_dead_letter_queue_discard_ended before update on tds_dead_letter_queue for each row
  when (old.discarded_at is not null and new.resolved_at is null)
  execute function tds_discard_ended();
alter table tds_dead_letter_queue enable always trigger tds_dead_letter_queue_discard_ended;
`;

const KNOWN_EVENTS = `
create view tds_known_events as
select id, arrival, entity_key, queued_at, run_at, priority, payload_bytes, versioned, organization_id, event_type,
  entity_id, suspect, attempt_count, status, lease, started_at, completed_at, outcome, error_tag, error_message,
  false as discarded
from tds_sync_queue
union all
select d.id, (d.discarded_event ->> 'arrival')::bigint, ${ENTITY_KEY},
  (d.discarded_event ->> 'queued_at')::timestamptz, d.moved_to_dlq_at, (d.discarded_event ->> 'priority')::int,
  (d.discarded_event ->> 'payload_bytes')::int, (d.discarded_event ->> 'versioned')::boolean, d.organization_id,
  d.event_type, d.entity_id, false, d.attempt_count, 'dead_letter', null::uuid,
  (d.discarded_event ->> 'started_at')::timestamptz, null::timestamptz, null::text, d.error_tag, d.last_error, true
from tds_dead_letter_queue d
where d.discarded_at is not null and not exists (select from tds_sync_queue q where q.id = d.id);
comment on view tds_known_events is 'the events of the queue, and those that an operator discarded or edited out of it';
`;

// json, not jsonb: numbers keep every digit.
const EDITS = `
create table tds_event_edits (
  event_id uuid primary key,
  original_id uuid not null unique,
  created_at timestamptz not null default now(),
  author text not null,
  reason text not null,
  difference json not null
);
comment on table tds_event_edits is 'events that an operator made of a dead letter by editing its record';
comment on column tds_event_edits.event_id is 'the new event';
comment on column tds_event_edits.original_id is 'the dead letter, whose bytes stay as they are for as long as this row is there';
comment on column tds_event_edits.created_at is 'when it was edited';
comment on column tds_event_edits.author is 'the operator who edited it';
comment on column tds_event_edits.reason is 'why, as the operator said';
comment on column tds_event_edits.difference is 'a list of path (a JSON pointer into the record, or event_type, organization_id, entity_id), before and after';
`;
