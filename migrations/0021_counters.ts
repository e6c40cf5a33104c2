import { type Kysely, sql } from 'kysely';

/**
 * Counters for Prometheus that never go back: not when rows are purged, a process restarts or is killed. What happened
 * to events is counted by trigger with the log row itself; what only a process knows is added by that process.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [COUNTERS, PROCESSES, ATTEMPTS, RARE]) await sql.raw(statements).execute(db);
}

// No index on the value, and room on each page: an addition is a HOT update.
const COUNTERS = `
create table tds_counters (
  name text not null,
  labels jsonb not null default '{}',
  value double precision not null default 0 check (value >= 0),
  primary key (name, labels)
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
comment on table tds_counters is 'what the processes have counted, of the whole fleet and for ever';
comment on column tds_counters.name is 'as in GET /metrics; of a histogram with _bucket, _sum or _count';
comment on column tds_counters.labels is 'closed sets only: a route, never a path';
comment on column tds_counters.value is 'only grows';

create function tds_refuse_lower_counter() returns trigger language plpgsql as $$
begin
  raise exception 'counter % must not go back from % to %: delete its row to begin anew', old.name, old.value, new.value;
end $$;
create trigger tds_counters_only_grow before update on tds_counters for each row
  when (new.value < old.value) execute function tds_refuse_lower_counter();

create function tds_count(counter text, counter_labels jsonb, amount double precision) returns void language sql
set search_path = public as $$
  insert into tds_counters as c (name, labels, value) select counter, counter_labels, amount where amount > 0
  on conflict (name, labels) do update set value = c.value + excluded.value;
$$;
comment on function tds_count is 'adds to a counter; for what is rare, as its row is locked until the commit';
`;

const PROCESSES = `
create table tds_processes (
  process_id uuid primary key,
  service text not null check (service in ('tds-core-api', 'tds-core-worker')),
  version text not null,
  started_at timestamptz not null default now(),
  seen_at timestamptz not null default now(),
  batch bigint not null,
  event_loop_lag_seconds double precision not null,
  resident_bytes bigint not null
) with (fillfactor = 50);
comment on table tds_processes is 'the processes that count, and how they are; a row stays for a day';
comment on column tds_processes.seen_at is 'when it last added what it had counted';
comment on column tds_processes.batch is 'its latest addition: the same one, sent again because its answer was lost, adds nothing';
comment on column tds_processes.event_loop_lag_seconds is '99th percentile since the addition before';
comment on column tds_processes.resident_bytes is 'memory';
`;

// One row per ending statement and kind of end, summed up by the workers: an insert never waits for another.
const ATTEMPTS = `
create table tds_attempt_counts (
  status text not null,
  error_tag text,
  le_ms double precision not null,
  attempts bigint not null,
  retries bigint not null,
  stale bigint not null,
  duration_ms double precision not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tds_attempt_counts is 'changes of the counts of attempts, by how they ended and how long they took; rows of one kind add up';
comment on column tds_attempt_counts.status is 'as in tds_sync_logs';
comment on column tds_attempt_counts.le_ms is 'upper limit of the bucket of the duration';
comment on column tds_attempt_counts.retries is 'of these, attempts that were not the first of their event';
comment on column tds_attempt_counts.stale is 'of these, attempts at an event that is older than what the mirror holds';

create function tds_duration_bucket(ms double precision) returns double precision language sql immutable parallel safe
return case when ms <= 10 then 10 when ms <= 50 then 50 when ms <= 100 then 100 when ms <= 500 then 500
  when ms <= 1000 then 1000 when ms <= 5000 then 5000 when ms <= 30000 then 30000 when ms <= 300000 then 300000
  when ms <= 3600000 then 3600000 when ms is null then 10 else 'Infinity'::float8 end;

create function tds_logs_counted() returns trigger language plpgsql set search_path = public as $$
begin
  insert into tds_attempt_counts (status, error_tag, le_ms, attempts, retries, stale, duration_ms)
    select status, error_tag, tds_duration_bucket(duration_ms), count(*),
      count(*) filter (where attempt > 1 and status <> 'released'), count(*) filter (where outcome = 'stale'),
      coalesce(sum(duration_ms), 0)
    from new_rows group by 1, 2, 3;
  return null;
end $$;
create trigger tds_sync_logs_counted after insert on tds_sync_logs
  referencing new table as new_rows for each statement execute function tds_logs_counted();
alter table tds_sync_logs enable always trigger tds_sync_logs_counted;
`;

const RARE = `
create function tds_circuit_tripped() returns trigger language plpgsql set search_path = public as $$
begin
  perform tds_count('circuit_tripped_total', '{}', 1);
  return null;
end $$;
create trigger tds_zoho_quota_tripped after update on tds_zoho_quota for each row
  when (new.failures > old.failures and new.paused_until is distinct from old.paused_until)
  execute function tds_circuit_tripped();

create function tds_records_repaired() returns trigger language plpgsql set search_path = public as $$
begin
  perform tds_count('conflicts_resolved_total', '{"kind": "repaired"}', new.repaired);
  return null;
end $$;
create trigger tds_pull_verdicts_counted after insert on tds_pull_verdicts for each row
  when (new.repaired > 0) execute function tds_records_repaired();
`;
