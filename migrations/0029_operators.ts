import { type Kysely, sql } from 'kysely';

/** What `tds` shows and does beyond the queue: scopes of a token, drained workers, pauses by event type in batches. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [SCOPES, DRAINED, SETTLING, SETTLE, CHANGED]) await sql.raw(statements).execute(db);
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

/** True when a queue row `q` is of a paused type. */
const IS_HELD = `exists (select from tds_event_type_pauses p
      where p.event_type in (q.event_type, split_part(q.event_type, '.', 1) || '.*'))`;

const SETTLING = `
alter table tds_event_type_pauses add column settled boolean not null default false;
comment on column tds_event_type_pauses.settled is
  'whether every waiting event of the type is held; until then no event at all is claimed';
alter table tds_queue_state add column settling_entity bigint, add column settling_arrival bigint;
comment on column tds_queue_state.settling_entity is
  'how far waiting events were compared with the pauses by event type since these changed; null when all were';
comment on column tds_queue_state.settling_arrival is 'the second half of that place';
`;

// A thousand waiting events a call, in the order of their key. Events that arrive or move meanwhile are held by their own
// trigger. The row lock on tds_queue_state lets one at a time do this, and a change of the pauses begins anew behind it.
const SETTLE = `
create function tds_settle_pauses() returns boolean language plpgsql set search_path = public
set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off as $$
declare place record; last record;
begin
  select settling_entity as entity, settling_arrival as arrival into place from tds_queue_state
    where settling_entity is not null for update skip locked;
  -- Nothing to do, or somebody else is at it.
  if not found then
    return null;
  end if;
  with part as materialized (
    select w.entity_key, w.arrival, w.held, coalesce((select ${IS_HELD} from tds_sync_queue q where q.id = w.id), false) as now_held
    from (select entity_key, arrival, id, held from tds_queue_waiting
      where (entity_key, arrival) > (place.entity, place.arrival) order by entity_key, arrival limit 1000) w),
  changed as (
    update tds_queue_waiting w
    set held = p.now_held, due = not p.now_held and w.run_at <= clock_timestamp() and not w.suspect
    from part p where w.entity_key = p.entity_key and w.arrival = p.arrival and p.held <> p.now_held)
  select count(*) as rows, max(entity_key) as entity, (array_agg(arrival order by entity_key desc, arrival desc))[1] as arrival
    into last from part;
  if last.rows = 1000 then
    update tds_queue_state set settling_entity = last.entity, settling_arrival = last.arrival;
    return false;
  end if;
  update tds_queue_state set settling_entity = null, settling_arrival = null;
  update tds_event_type_pauses set settled = true where not settled;
  perform pg_notify('tds_queue', '');
  return true;
end $$;
`;

// The lock waits for transactions that have written the queue, and keeps others from beginning to: an event either waits
// already, or its own trigger sees the change. It lasts for one batch, however much waits; workers go on with the rest.
const CHANGED = `
create or replace function tds_event_type_pauses_changed() returns trigger language plpgsql set search_path = public as $$
begin
  lock table tds_sync_queue in share row exclusive mode;
  update tds_queue_state set settling_entity = -9223372036854775808, settling_arrival = 0;
  perform tds_settle_pauses();
  return null;
end $$;
create function tds_pause_is_not_settled() returns trigger language plpgsql as $$
begin
  new.settled := false;
  return new;
end $$;
create trigger tds_event_type_pauses_unsettled before insert or update of event_type on tds_event_type_pauses
  for each row execute function tds_pause_is_not_settled();
alter table tds_event_type_pauses enable always trigger tds_event_type_pauses_unsettled;
drop trigger tds_event_type_pauses_changed on tds_event_type_pauses;
create trigger tds_event_type_pauses_changed after insert or delete or truncate or update of event_type
  on tds_event_type_pauses for each statement execute function tds_event_type_pauses_changed();
alter table tds_event_type_pauses enable always trigger tds_event_type_pauses_changed;
`;
