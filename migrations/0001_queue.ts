import { type Kysely, sql } from 'kysely';

/**
 * Inbox, queue, dead letters, logs, alerts, audit.
 *
 * The queue row is narrow and updated in place three times at most; whatever is derived from it (ready, delayed,
 * counts) is kept true by statement triggers, so that an operator's UPDATE in psql is as good as ours.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [INBOX, QUEUE, DISPATCH, LOGS, DEAD_LETTERS, OPERATORS, TRIGGERS]) {
    await sql.raw(statements).execute(db);
  }
}

// Narrow apart from the payload: `processed` is set when the event completes, and rewriting 1.5 KB for that would
// triple the WAL of an event (measured: 3,350 instead of 1,100 bytes).
// fillfactor 50: the update that marks a row processed finds room on its own page (HOT) and touches no index.
const INBOX = `
create table tds_inbox_events (
  event_id uuid primary key,
  dedupe_key uuid unique,
  received_at timestamptz not null default now(),
  processed_at timestamptz,
  version timestamptz,
  processed boolean not null default false,
  versioned boolean not null default false,
  source text not null check (source in ('webhook', 'pull', 'operator')),
  organization_id text not null,
  module text,
  action text,
  entity_id text,
  event_type text not null,
  quarantine_reason text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

comment on column tds_inbox_events.event_id is 'equals the id of its first tds_sync_queue row';
comment on column tds_inbox_events.dedupe_key is 'null as soon as a byte-identical delivery would be a new event';
comment on column tds_inbox_events.version is 'last_modified_time, updated_time or created_time of the record';

create table tds_inbox_payloads (
  event_id uuid primary key,
  payload json,
  raw_body bytea,
  request jsonb not null
);
comment on column tds_inbox_payloads.payload is 'the record as JSON text: json keeps every digit as sent';
comment on column tds_inbox_payloads.request is 'how it arrived; POST and application/json go without saying';
comment on column tds_inbox_payloads.raw_body is 'the bytes as received, where payload is not simply a part of them';
`;

// fillfactor 45: a row is updated twice (claim, finish) and must stay on its page (HOT), hence no index on status,
// lease or any other column that changes. What changes stands last: the WAL of an update leaves out the part of the
// row before it. Autovacuum only has to freeze and to clean up after purges.
const QUEUE = `
create sequence tds_arrival as bigint cache 1;
create table tds_sync_queue (
  id uuid primary key,
  event_id uuid not null,
  dead_letter_id uuid,
  arrival bigint not null default nextval('tds_arrival'),
  entity_key bigint not null,
  queued_at timestamptz not null default now(),
  run_at timestamptz not null default now(),
  priority integer not null default 1,
  organization_id text not null,
  event_type text not null,
  entity_id text,
  suspect boolean not null default false,
  attempt_count integer not null default 0 check (attempt_count >= 0),
  status text not null default 'pending'
    check (status in ('pending', 'processing', 'retry', 'completed', 'dead_letter')),
  lease uuid,
  started_at timestamptz,
  completed_at timestamptz,
  outcome text,
  error_tag text,
  error_message text,
  check (status <> 'processing' or (lease is not null and started_at is not null)),
  check (status <> 'completed' or completed_at is not null),
  check (status not in ('retry', 'dead_letter') or error_message is not null)
) with (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);
create index tds_sync_queue_queued_at on tds_sync_queue (queued_at);

comment on column tds_sync_queue.arrival is 'order of arrival: events of one entity run in this order';
comment on column tds_sync_queue.entity_key is 'hash of organization, module and entity id';
comment on column tds_sync_queue.suspect is 'was in the hands of a worker that died: runs alone next time';
`;

// Small, hot tables: rows live for milliseconds, so vacuum early and without cost delay.
const DISPATCH = `
create table tds_queue_ready (
  priority integer not null,
  arrival bigint not null,
  queue_id uuid not null,
  entity_key bigint not null,
  alone boolean not null default false,
  primary key (priority, arrival)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
create index tds_queue_ready_entity on tds_queue_ready (entity_key, arrival);
create index tds_queue_ready_alone on tds_queue_ready (arrival) where alone;
comment on table tds_queue_ready is 'the events that may be claimed now: deleted by the claim';

create table tds_queue_delayed (
  queue_id uuid primary key,
  run_at timestamptz not null,
  priority integer not null,
  arrival bigint not null,
  entity_key bigint not null,
  alone boolean not null default false
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
create index tds_queue_delayed_run_at on tds_queue_delayed (run_at);
create index tds_queue_delayed_entity on tds_queue_delayed (entity_key);
comment on table tds_queue_delayed is 'the events that wait for their run_at; later events of their entity wait with them';

create table tds_queue_claims (
  claim_xid bigint not null default (pg_current_xact_id()::text::bigint),
  lease uuid not null,
  worker_id uuid not null,
  queue_ids uuid[] not null,
  entity_keys bigint[] not null,
  claimed_at timestamptz not null default now(),
  primary key (claim_xid, lease)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tds_queue_claims is 'what is being processed, one row per lease';

create table tds_workers (
  worker_id uuid primary key,
  host text not null,
  pid integer not null,
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  expires_at timestamptz not null,
  concurrency integer not null,
  in_flight integer not null default 0,
  draining boolean not null default false
) with (fillfactor = 50);

create table tds_queue_counts (
  pending bigint not null default 0,
  processing bigint not null default 0,
  retry bigint not null default 0,
  completed bigint not null default 0,
  dead_letter bigint not null default 0
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tds_queue_counts is 'changes of the counts by status; their sum is exact in every snapshot';

create table tds_queue_state (
  singleton boolean primary key default true check (singleton),
  paused boolean not null default false,
  paused_at timestamptz,
  paused_by text,
  reason text
);
insert into tds_queue_state default values;
`;

// BRIN on created_at: purge and time windows at a hundredth of a b-tree's size; rows arrive in time order.
const LOGS = `
create table tds_sync_logs (
  id bigint generated always as identity,
  queue_id uuid not null,
  worker_id uuid,
  created_at timestamptz not null default now(),
  duration_ms double precision,
  attempt integer not null,
  status text not null check (status in ('completed', 'retry', 'dead_letter', 'released', 'crashed')),
  outcome text,
  error_tag text,
  error_message text,
  primary key (queue_id, id)
) with (autovacuum_vacuum_insert_scale_factor = 0.1);
create index tds_sync_logs_created_at on tds_sync_logs using brin (created_at) with (autosummarize = on);

create table tds_processing_totals (
  bucket timestamptz not null,
  succeeded bigint not null,
  failed bigint not null,
  duration_ms double precision not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index tds_processing_totals_bucket on tds_processing_totals (bucket);
comment on table tds_processing_totals is 'attempts per 10 seconds; several rows of one bucket add up';
`;

const DEAD_LETTERS = `
create table tds_dead_letter_queue (
  id uuid primary key default gen_random_uuid(),
  original_queue_id uuid not null,
  queue_id uuid not null,
  event_id uuid not null,
  organization_id text not null,
  event_type text not null,
  entity_id text,
  kind text not null check (kind in ('failed', 'quarantined')),
  payload json,
  raw_body bytea,
  attempt_count integer not null,
  error_tag text not null,
  last_error text not null,
  moved_to_dlq_at timestamptz not null default now(),
  retry_count integer not null default 0,
  last_retry_at timestamptz,
  resolved_at timestamptz
);
create index tds_dead_letter_queue_original on tds_dead_letter_queue (original_queue_id);
create index tds_dead_letter_queue_open on tds_dead_letter_queue (moved_to_dlq_at desc, id desc) where resolved_at is null;
comment on column tds_dead_letter_queue.queue_id is 'the tds_sync_queue row that stands in dead_letter for it';
comment on column tds_dead_letter_queue.resolved_at is 'null while the dead letter is open';
`;

const OPERATORS = `
create table tds_alerts (
  id uuid primary key default gen_random_uuid(),
  rule text not null,
  title text not null,
  severity text not null check (severity in ('critical', 'warning', 'info')),
  message text not null,
  value double precision,
  threshold double precision,
  fired_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  acknowledged_at timestamptz,
  acknowledged_by text,
  resolved_at timestamptz
);
create unique index tds_alerts_firing on tds_alerts (rule) where resolved_at is null;

create table tds_audit_log (
  id bigint generated always as identity primary key,
  created_at timestamptz not null default now(),
  operator text not null,
  action text not null,
  target text,
  result text not null,
  request_id text,
  detail jsonb
);
create function tds_refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'tds_audit_log is append-only';
end $$;
create trigger tds_audit_log_append_only before update or delete on tds_audit_log
  for each row execute function tds_refuse_change();
create trigger tds_audit_log_no_truncate before truncate on tds_audit_log
  for each statement execute function tds_refuse_change();
`;

// Statement triggers see a batch of 500 once. A row trigger would be called 500 times.
const TRIGGERS = `
create function tds_queue_inserted() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select count(*) filter (where status = 'pending'), count(*) filter (where status = 'processing'),
           count(*) filter (where status = 'retry'), count(*) filter (where status = 'completed'),
           count(*) filter (where status = 'dead_letter')
    from new_rows having count(*) > 0;
  insert into tds_queue_ready (priority, arrival, queue_id, entity_key, alone)
    select priority, arrival, id, entity_key, suspect from new_rows
    where status in ('pending', 'retry') and run_at <= now() order by arrival;
  insert into tds_queue_delayed (queue_id, run_at, priority, arrival, entity_key, alone)
    select id, run_at, priority, arrival, entity_key, suspect from new_rows
    where status in ('pending', 'retry') and run_at > now();
  return null;
end $$;

create function tds_queue_updated() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select coalesce(sum(n) filter (where status = 'pending'), 0), coalesce(sum(n) filter (where status = 'processing'), 0),
           coalesce(sum(n) filter (where status = 'retry'), 0), coalesce(sum(n) filter (where status = 'completed'), 0),
           coalesce(sum(n) filter (where status = 'dead_letter'), 0)
    from (select status, 1 as n from new_rows union all select status, -1 from old_rows) as change
    having count(*) > 0;
  if exists (select from new_rows where status in ('pending', 'retry')) then
    with waiting as (
      select n.* from new_rows n join old_rows o using (id)
      where n.status in ('pending', 'retry') and (n.status <> o.status or n.run_at <> o.run_at)),
    left_delay as (
      delete from tds_queue_delayed d using waiting w where d.queue_id = w.id),
    let_go as ( -- an operator's reset of a stuck event frees its entity too
      delete from tds_queue_claims c using waiting w where c.lease = w.lease and cardinality(c.queue_ids) = 1),
    ready as (
      insert into tds_queue_ready (priority, arrival, queue_id, entity_key, alone)
      select priority, arrival, id, entity_key, suspect from waiting where run_at <= clock_timestamp()
      on conflict do nothing)
    insert into tds_queue_delayed (queue_id, run_at, priority, arrival, entity_key, alone)
      select id, run_at, priority, arrival, entity_key, suspect from waiting where run_at > clock_timestamp();
  end if;
  return null;
end $$;

create function tds_queue_deleted() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select -count(*) filter (where status = 'pending'), -count(*) filter (where status = 'processing'),
           -count(*) filter (where status = 'retry'), -count(*) filter (where status = 'completed'),
           -count(*) filter (where status = 'dead_letter')
    from old_rows having count(*) > 0;
  delete from tds_queue_delayed where queue_id in (select id from old_rows where status in ('pending', 'retry'));
  delete from tds_queue_ready r using old_rows o
    where o.status in ('pending', 'retry') and r.priority = o.priority and r.arrival = o.arrival;
  return null;
end $$;

create trigger tds_sync_queue_inserted after insert on tds_sync_queue
  referencing new table as new_rows for each statement execute function tds_queue_inserted();
create trigger tds_sync_queue_updated after update on tds_sync_queue
  referencing old table as old_rows new table as new_rows for each statement execute function tds_queue_updated();
create trigger tds_sync_queue_deleted after delete on tds_sync_queue
  referencing old table as old_rows for each statement execute function tds_queue_deleted();

create function tds_queue_truncated() returns trigger language plpgsql as $$
begin
  delete from tds_queue_counts;
  delete from tds_queue_ready;
  delete from tds_queue_delayed;
  delete from tds_queue_claims;
  return null;
end $$;
create trigger tds_sync_queue_truncated after truncate on tds_sync_queue
  for each statement execute function tds_queue_truncated();

create function tds_logs_inserted() returns trigger language plpgsql as $$
begin
  insert into tds_processing_totals (bucket, succeeded, failed, duration_ms)
    select date_bin('10 seconds', created_at, 'epoch'), count(*) filter (where status = 'completed'),
           count(*) filter (where status <> 'completed'), coalesce(sum(duration_ms), 0)
    from new_rows where status in ('completed', 'retry', 'dead_letter') group by 1;
  return null;
end $$;
create trigger tds_sync_logs_inserted after insert on tds_sync_logs
  referencing new table as new_rows for each statement execute function tds_logs_inserted();

-- A trigger instead of a foreign key: the key would be checked for every event that arrives.
create function tds_inbox_deleted() returns trigger language plpgsql as $$
begin
  delete from tds_inbox_payloads p using old_rows o where p.event_id = o.event_id;
  return null;
end $$;
create trigger tds_inbox_events_deleted after delete on tds_inbox_events
  referencing old table as old_rows for each statement execute function tds_inbox_deleted();
`;
