import { type Kysely, sql } from 'kysely';

/**
 * Inbox, queue, dead letters, logs, alerts, audit. `tds_sync_queue` is the truth about every event. What follows from
 * it (who waits, who is in hand, counts, dead letters) is kept by the triggers of 0005_derived_state.ts.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [INBOX, QUEUE, DISPATCH, LOGS, DEAD_LETTERS, OPERATORS]) {
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
  processed boolean not null default false,
  organization_id text not null,
  module text,
  action text,
  entity_id text,
  event_type text not null,
  quarantine_reason text
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.05);

comment on column tds_inbox_events.event_id is 'the same as the id in tds_sync_queue and tds_dead_letter_queue';
comment on column tds_inbox_events.dedupe_key is 'null as soon as a byte-identical delivery would be a new event';

create table tds_inbox_payloads (
  event_id uuid primary key,
  version timestamptz,
  source text not null check (source in ('webhook', 'pull', 'operator')),
  payload json,
  raw_body bytea,
  ip text,
  user_agent text,
  request jsonb
);
comment on column tds_inbox_payloads.version is 'last_modified_time, updated_time or created_time of the record';
comment on column tds_inbox_payloads.payload is 'the record as JSON text: json keeps every digit as sent';
comment on column tds_inbox_payloads.request is 'what was unusual: another path than /webhooks/zoho-books/<organization>/<module>/<action>, method or content type';
comment on column tds_inbox_payloads.raw_body is 'the bytes as received, where payload is not simply a part of them';
`;

// fillfactor 45: a row is updated twice (claim, finish) and must stay on its page (HOT), hence no index on status,
// lease or any other column that changes. What changes stands last: the WAL of an update leaves out the part of the
// row before it. Autovacuum only has to freeze and to clean up after purges.
const QUEUE = `
create function tds_entity_key(organization_id text, module text, entity_id text, event_id uuid) returns bigint
language sql immutable parallel safe
return hashtextextended(coalesce(organization_id || ' ' || module || ' ' || entity_id, event_id::text), 0);
comment on function tds_entity_key is 'names an entity in 64 bits; an event without one is an entity of its own';

create sequence tds_arrival as bigint cache 1;
create table tds_sync_queue (
  id uuid primary key,
  arrival bigint not null default nextval('tds_arrival'),
  entity_key bigint not null,
  queued_at timestamptz not null default now(),
  run_at timestamptz not null default now(),
  priority integer not null default 1,
  payload_bytes integer not null default 0,
  versioned boolean not null default true,
  organization_id text not null,
  event_type text not null,
  entity_id text,
  suspect boolean not null default false,
  attempt_count integer not null default 0 check (attempt_count >= 0),
  release_count integer not null default 0 check (release_count >= 0),
  status text not null default 'pending'
    check (status in ('pending', 'processing', 'retry', 'completed', 'dead_letter')),
  lease uuid,
  started_at timestamptz,
  completed_at timestamptz,
  outcome text,
  error_tag text,
  error_message text,
  constraint only_a_claim_makes_an_event_processing check ((status = 'processing') = (lease is not null)),
  constraint a_completed_event_says_when check (status <> 'completed' or completed_at is not null)
) with (fillfactor = 45, autovacuum_vacuum_scale_factor = 0.05);
create index tds_sync_queue_queued_at on tds_sync_queue (queued_at);

comment on column tds_sync_queue.id is 'the id of the event: the same in tds_inbox_events and tds_dead_letter_queue, before and after any retry';
comment on column tds_sync_queue.arrival is 'order of arrival: events of one entity run in this order';
comment on column tds_sync_queue.entity_key is 'tds_entity_key of organization, module and entity id';
comment on column tds_sync_queue.priority is 'lower runs first, among entities; within one entity arrival decides';
comment on column tds_sync_queue.versioned is 'the body carries its own version; if not, the same bytes are a new event once this one no longer waits';
comment on column tds_sync_queue.suspect is 'was being processed when its worker died: runs alone, in a process of its own';
comment on column tds_sync_queue.release_count is 'how often in a row it was given back without an attempt being charged';
`;

// Small, hot tables: rows live for milliseconds, so vacuum early and without cost delay.
const DISPATCH = `
create table tds_queue_waiting (
  entity_key bigint not null,
  arrival bigint not null,
  id uuid not null,
  priority integer not null,
  release_count integer not null default 0,
  run_at timestamptz not null,
  payload_bytes integer not null,
  status text not null,
  due boolean not null,
  suspect boolean not null,
  primary key (entity_key, arrival)
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);
create index tds_queue_waiting_head on tds_queue_waiting (priority, arrival) where due;
create index tds_queue_waiting_blocked on tds_queue_waiting (entity_key, arrival) where not due;
create index tds_queue_waiting_run_at on tds_queue_waiting (run_at) where not due and not suspect;
create index tds_queue_waiting_oldest on tds_queue_waiting (status, arrival) where not due;
create index tds_queue_waiting_suspects on tds_queue_waiting (arrival) where suspect;
create index tds_queue_waiting_given_back on tds_queue_waiting (release_count) where release_count >= 5;
comment on table tds_queue_waiting is 'the events in pending or retry, kept by the triggers of tds_sync_queue; never written by hand';
comment on column tds_queue_waiting.due is 'its run_at has come and it is no suspect: it may be claimed';

create table tds_queue_claims (
  entity_key bigint primary key,
  lease uuid not null,
  ids uuid[]
) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tds_queue_claims is 'the entities in hand: the primary key is what keeps two workers from one entity';
comment on column tds_queue_claims.ids is 'the events of the entity that were claimed together, if more than one';

create table tds_queue_leases (
  lease uuid primary key,
  worker_id uuid not null,
  claimed_at timestamptz not null default statement_timestamp(),
  ids uuid[] not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000);
-- Up to 1,000 ids, in the toast table: compressing them costs more than their WAL.
alter table tds_queue_leases alter ids set storage external;
comment on table tds_queue_leases is 'the claims whose events have not all ended, one row each, with all events claimed';

create table tds_workers (
  worker_id uuid primary key,
  host text not null,
  pid integer not null,
  version text not null default '',
  started_at timestamptz not null default now(),
  heartbeat_at timestamptz not null default now(),
  expires_at timestamptz not null,
  ended_at timestamptz,
  culprit uuid,
  concurrency integer not null,
  in_flight integer not null default 0,
  draining boolean not null default false
) with (fillfactor = 50);
comment on column tds_workers.ended_at is 'when it said goodbye or was found dead; the row stays for a day';
comment on column tds_workers.culprit is 'the event that its watchdog found blocking the process';

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

// No key: nothing refers to a log row, and a number each would cost a sequence and 16 bytes of WAL per attempt.
// BRIN on created_at: purge and time windows at a hundredth of a b-tree's size; rows arrive in time order.
const LOGS = `
create table tds_sync_logs (
  queue_id uuid not null,
  worker_id uuid,
  created_at timestamptz not null default now(),
  duration_ms double precision,
  attempt integer not null,
  status text not null check (status in ('completed', 'retry', 'dead_letter', 'released', 'crashed')),
  outcome text,
  error_tag text,
  error_message text
) with (autovacuum_vacuum_insert_scale_factor = 0.1);
create index tds_sync_logs_queue_id on tds_sync_logs (queue_id);
create index tds_sync_logs_created_at on tds_sync_logs using brin (created_at) with (autosummarize = on);

create table tds_processing_totals (
  bucket timestamptz not null,
  arrived bigint not null default 0,
  succeeded bigint not null default 0,
  failed bigint not null default 0,
  released bigint not null default 0,
  first_attempts bigint not null default 0,
  first_failures bigint not null default 0,
  duration_ms double precision not null default 0
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
create index tds_processing_totals_bucket on tds_processing_totals (bucket);
comment on table tds_processing_totals is 'arrivals and attempts per 10 seconds; several rows of one bucket add up';
comment on column tds_processing_totals.released is 'given back without an attempt being charged';
comment on column tds_processing_totals.first_failures is 'first attempts that failed: what the failure rate is made of';
`;

const DEAD_LETTERS = `
create table tds_dead_letter_queue (
  id uuid primary key,
  original_queue_id uuid generated always as (id) stored,
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
comment on table tds_dead_letter_queue is 'kept by the triggers of tds_sync_queue: open exactly while the event stands in dead_letter';
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
