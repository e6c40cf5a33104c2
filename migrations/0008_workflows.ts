import { type Kysely, sql } from 'kysely';

/** Durable workflows: what runs or has run, activity by activity, and what became of it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(WORKFLOWS).execute(db);
  await sql.raw(ACTIVITIES).execute(db);
  await sql.raw(LOG).execute(db);
}

// one_at_a_time: the promise that of one name and organization one run is under way, whoever starts or retries it.
// fillfactor: a run is rewritten with each of its activities, without a change to any indexed column (HOT).
const WORKFLOWS = `
create table tds_workflows (
  id uuid primary key default gen_random_uuid(),
  name text not null,
  organization_id text not null,
  status text not null default 'running' check (status in ('running', 'paused', 'completed', 'failed', 'terminated')),
  payload jsonb not null,
  result jsonb,
  progress jsonb not null,
  started_by text not null,
  run_at timestamptz not null default now(),
  waits_for text,
  crash_count integer not null default 0,
  lease uuid,
  worker_id uuid,
  claimed_at timestamptz,
  approved_as uuid references tds_workflows on delete set null,
  created_at timestamptz not null default now(),
  updated_at timestamptz not null default now(),
  constraint tds_workflows_held check (num_nulls(lease, worker_id, claimed_at) in (0, 3)),
  constraint tds_workflows_ended check (
    status in ('running', 'paused', 'terminated') or (lease is null and result is not null)),
  constraint tds_workflows_sizes check (
    octet_length(payload::text) <= 131072 and octet_length(result::text) <= 1048576)
) with (fillfactor = 50);

create unique index tds_workflows_one_at_a_time on tds_workflows (name, organization_id)
  where status in ('running', 'paused');
create index tds_workflows_waiting on tds_workflows (run_at, id) where status = 'running' and lease is null;
create index tds_workflows_in_hand on tds_workflows (worker_id) where lease is not null;
create index tds_workflows_newest on tds_workflows (created_at desc, id desc);
create index tds_workflows_by_name on tds_workflows (name, organization_id, created_at desc);
create index tds_workflows_failed on tds_workflows (name, organization_id, created_at) where status = 'failed';

comment on table tds_workflows is 'durable workflows, one row per run; the only truth about them';
comment on column tds_workflows.id is 'the execution id: workflow_id in every log line of the run';
comment on column tds_workflows.name is 'which workflow, such as SyncAll or Reconcile';
comment on column tds_workflows.organization_id is 'organization of Zoho Books';
comment on column tds_workflows.status is 'running (also while it waits for a worker), paused, completed, failed or terminated';
comment on column tds_workflows.payload is 'what it was started with; organization_id included';
comment on column tds_workflows.result is 'what a completed run found, or {message, tag, cause} of a failed one';
comment on column tds_workflows.progress is 'module, records, records_total, pages, calls; as of the last finished activity';
comment on column tds_workflows.started_by is 'the operator, or schedule';
comment on column tds_workflows.run_at is 'no worker takes it before';
comment on column tds_workflows.waits_for is 'why it waits until run_at, as a sentence';
comment on column tds_workflows.crash_count is 'workers in a row that died with it in hand; 0 again with each finished activity';
comment on column tds_workflows.lease is 'set while a worker has it in hand: without it nothing of the run is written';
comment on column tds_workflows.worker_id is 'who has it in hand, see tds_workers';
comment on column tds_workflows.claimed_at is 'since when';
comment on column tds_workflows.approved_as is 'the run that applies what this one withheld, once an operator has approved';
comment on column tds_workflows.created_at is 'when it was started';
comment on column tds_workflows.updated_at is 'moves with every finished activity and every change of status';
`;

const ACTIVITIES = `
create table tds_workflow_activities (
  workflow_id uuid not null references tds_workflows on delete cascade,
  name text not null,
  position integer not null,
  status text not null check (status in ('running', 'retry', 'interrupted', 'completed', 'failed')),
  attempt integer not null,
  started_at timestamptz not null,
  completed_at timestamptz,
  output jsonb,
  error jsonb,
  primary key (workflow_id, name),
  constraint tds_workflow_activities_completed check (
    (status = 'completed') = (output is not null) and (completed_at is not null) = (status in ('completed', 'failed'))),
  constraint tds_workflow_activities_size check (octet_length(output::text) <= 1048576)
);

create unique index tds_workflow_activities_in_order on tds_workflow_activities (workflow_id, position);

comment on table tds_workflow_activities is 'the steps of a run; a run that resumes repeats no completed one';
comment on column tds_workflow_activities.workflow_id is 'the run';
comment on column tds_workflow_activities.name is 'unique within the run, such as invoice page 7';
comment on column tds_workflow_activities.position is 'order within the run, from 1';
comment on column tds_workflow_activities.status is
  'running, retry (waits for its next attempt), interrupted (will be done again), completed or failed';
comment on column tds_workflow_activities.attempt is 'the attempt that runs or ran last, from 1; begins anew when the run is resumed';
comment on column tds_workflow_activities.started_at is 'when that attempt began';
comment on column tds_workflow_activities.completed_at is 'when it ended for good, well or not';
comment on column tds_workflow_activities.output is 'the checkpoint: committed together with what the activity wrote';
comment on column tds_workflow_activities.error is '{message, tag, cause} of the last attempt that failed';
`;

const LOG = `
create table tds_workflow_logs (
  id bigint generated always as identity primary key,
  workflow_id uuid not null references tds_workflows on delete cascade,
  created_at timestamptz not null default clock_timestamp(),
  activity_name text,
  message text not null,
  error_tag text,
  worker_id uuid
);

create index tds_workflow_logs_by_workflow on tds_workflow_logs (workflow_id, id);

comment on table tds_workflow_logs is 'what happened to a run, apart from activities that went well';
comment on column tds_workflow_logs.id is 'order of what happened';
comment on column tds_workflow_logs.workflow_id is 'the run';
comment on column tds_workflow_logs.created_at is 'when';
comment on column tds_workflow_logs.activity_name is 'the activity it happened in, if any';
comment on column tds_workflow_logs.message is 'a sentence for the operator';
comment on column tds_workflow_logs.error_tag is 'of a failure';
comment on column tds_workflow_logs.worker_id is 'the worker that had it in hand';
`;
