import { type Kysely, sql } from 'kysely';

/**
 * What an operator took out of the queue, and runs that retry many dead letters. Both stand beside the queue and are
 * never read by a claim.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(QUARANTINE).execute(db);
  await sql.raw(RETRY_RUNS).execute(db);
}

// The mark ends with the dead letter, whoever closes it. A release is not a retry, so it does not count as one.
const QUARANTINE = `
alter table tds_dead_letter_queue add column quarantined_by text;
alter table tds_dead_letter_queue add constraint only_an_open_dead_letter_is_in_quarantine
  check (quarantined_by is null or resolved_at is null);
comment on column tds_dead_letter_queue.quarantined_by is
  'the operator who took the event out of the queue: until it is released no retry touches it; last_error is the reason';

create function tds_quarantine_ended() returns trigger language plpgsql as $$
begin
  new.quarantined_by := null;
  new.retry_count := old.retry_count;
  new.last_retry_at := old.last_retry_at;
  return new;
end $$;
create trigger tds_dead_letter_queue_quarantine_ended before update on tds_dead_letter_queue for each row
  when (old.quarantined_by is not null and new.resolved_at is not null)
  execute function tds_quarantine_ended();
alter table tds_dead_letter_queue enable always trigger tds_dead_letter_queue_quarantine_ended;
`;

// An event stands once in a run and is released once: its primary key is what keeps a run from retrying its own failures.
const RETRY_RUNS = `
create table tds_retry_runs (
  id uuid primary key default gen_random_uuid(),
  created_at timestamptz not null default now(),
  created_by text not null,
  reason text,
  selection jsonb not null,
  status text not null default 'running' check (status in ('running', 'paused', 'stopped', 'cancelled', 'completed')),
  status_reason text,
  rate_per_second integer not null check (rate_per_second between 1 and 1000),
  max_failure_percent integer not null check (max_failure_percent between 0 and 100),
  total integer not null,
  allowance_at timestamptz not null default now(),
  ended_at timestamptz,
  constraint a_run_that_ended_says_when check ((status in ('running', 'paused')) = (ended_at is null))
);
create index tds_retry_runs_created_at on tds_retry_runs (created_at desc, id desc);
create index tds_retry_runs_going on tds_retry_runs (created_at) where status = 'running';
comment on table tds_retry_runs is 'bulk retries of dead letters: which were chosen, how far they are';
comment on column tds_retry_runs.selection is 'what was asked for: ids, a filter or an error group';
comment on column tds_retry_runs.status_reason is 'why it stopped by itself, or who paused or cancelled it';
comment on column tds_retry_runs.total is 'dead letters in the snapshot';
comment on column tds_retry_runs.allowance_at is 'up to when the rate has been used';

create table tds_retry_run_events (
  run_id uuid not null references tds_retry_runs on delete cascade,
  event_id uuid not null,
  place integer not null,
  state text not null default 'waiting' check (state in ('waiting', 'retried', 'completed', 'failed', 'skipped')),
  ended_at timestamptz,
  primary key (run_id, event_id),
  constraint an_event_that_ended_says_when check ((state in ('waiting', 'retried')) = (ended_at is null))
);
create index tds_retry_run_events_waiting on tds_retry_run_events (run_id, place) where state = 'waiting';
create index tds_retry_run_events_retried on tds_retry_run_events (run_id) where state = 'retried';
create index tds_retry_run_events_ended on tds_retry_run_events (run_id, ended_at desc) where state in ('completed', 'failed');
comment on table tds_retry_run_events is 'the snapshot of a run: each dead letter once, in order of arrival';
comment on column tds_retry_run_events.state is 'skipped: it was no open dead letter any more when its turn came, or its queue row is gone';
`;
