import { type Kysely, sql } from 'kysely';

/**
 * Pauses by event type. An event of a paused type waits as one does whose time has not come: it is not due, so it holds
 * back the later events of its entity, as the order of an entity demands, and costs a claim nothing.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [PAUSES, HELD, ARRIVING, CHANGED]) await sql.raw(statements).execute(db);
}

/** True when a queue row `q` is of a paused type. */
const IS_HELD = `exists (select from tds_event_type_pauses p
      where p.event_type in (q.event_type, split_part(q.event_type, '.', 1) || '.*'))`;

const PAUSES = `
create table tds_event_type_pauses (
  event_type text primary key check (event_type ~ '^[^.*]+[.]([^.*]+|[*])$'),
  paused_at timestamptz not null default now(),
  paused_by text not null,
  reason text not null
);
comment on table tds_event_type_pauses is 'event types of which nothing is claimed, until somebody resumes them';
comment on column tds_event_type_pauses.event_type is 'such as invoice.updated, or invoice.* for all of a module';
comment on column tds_event_type_pauses.paused_at is 'when it was paused';
comment on column tds_event_type_pauses.paused_by is 'the operator who paused it';
comment on column tds_event_type_pauses.reason is 'why, as the operator said';
`;

// Suspects and what waits for its time leave these indexes while they are held, so that nobody reads them again and again.
const HELD = `
alter table tds_queue_waiting add column held boolean not null default false,
  add constraint what_is_held_is_not_due check (not (held and due));
comment on column tds_queue_waiting.held is 'its event type is paused; kept by the triggers of this table and of tds_event_type_pauses';
drop index tds_queue_waiting_run_at;
create index tds_queue_waiting_run_at on tds_queue_waiting (run_at) where not due and not suspect and not held;
drop index tds_queue_waiting_suspects;
create index tds_queue_waiting_suspects on tds_queue_waiting (arrival) where suspect and not held;
`;

// One look at an empty table per statement, however many events it brings.
const ARRIVING = `
create function tds_hold_arriving() returns trigger language plpgsql set search_path = public
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
begin
  if exists (select from tds_event_type_pauses) then
    update tds_queue_waiting w set held = true, due = false
    from (select n.entity_key, n.arrival from new_rows n join tds_sync_queue q on q.id = n.id
          where ${IS_HELD}) n
    where w.entity_key = n.entity_key and w.arrival = n.arrival;
  end if;
  return null;
end $$;
create trigger tds_queue_waiting_hold_arriving after insert on tds_queue_waiting
  referencing new table as new_rows for each statement execute function tds_hold_arriving();
alter table tds_queue_waiting enable always trigger tds_queue_waiting_hold_arriving;
`;

// The lock waits for transactions that have written the queue, and keeps others from beginning to: an event is either
// seen here, or its own trigger sees the pause. A claim that holds a row of tds_queue_waiting waits for the lock at most
// 200 ms, and comes again.
const CHANGED = `
create function tds_event_type_pauses_changed() returns trigger language plpgsql set search_path = public as $$
begin
  lock table tds_sync_queue in share row exclusive mode;
  update tds_queue_waiting w set held = n.held, due = not n.held and w.run_at <= clock_timestamp() and not w.suspect
  from (select entity_key, arrival, held as was,
          coalesce((select ${IS_HELD} from tds_sync_queue q where q.id = t.id), false) as held
        from tds_queue_waiting t) n
  where w.entity_key = n.entity_key and w.arrival = n.arrival and n.was <> n.held;
  perform pg_notify('tds_queue', '');
  return null;
end $$;
create trigger tds_event_type_pauses_changed after insert or update or delete or truncate on tds_event_type_pauses
  for each statement execute function tds_event_type_pauses_changed();
alter table tds_event_type_pauses enable always trigger tds_event_type_pauses_changed;
`;
