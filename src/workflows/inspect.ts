/** Runs as the dashboard shows them. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { ActivityStatus } from '../db/schema.ts';
import type { WorkflowStatus } from './state.ts';
import type { Json, Progress } from './workflow.ts';

export type WorkflowView = {
  id: string;
  name: string;
  organization_id: string;
  status: WorkflowStatus;
  payload: Json;
  result: Json;
  progress: Progress;
  waits_for: string | null;
  /** No worker takes it before. */
  run_at: Date;
  started_by: string;
  worker_id: string | null;
  approved_as: string | null;
  created_at: Date;
  updated_at: Date;
};

export type ActivityView = {
  name: string;
  status: ActivityStatus;
  attempt: number;
  started_at: Date;
  completed_at: Date | null;
  output: Json;
  error: Json;
};

export type LogView = { created_at: Date; message: string; activity_name: string | null; error_tag: string | null };

type Position = { at: string; id: string };

export type WorkflowFilter = {
  status?: WorkflowStatus | undefined;
  name?: string | undefined;
  /** Part of the name, the organization, the payload or the error's message, or the id. */
  q?: string | undefined;
};

/** A page ends here: payloads, results and outputs may have a megabyte each. */
const MAX_BYTES = 8 * 1024 * 1024;
/** Of one run: the latest ones. */
export const MAX_ACTIVITIES = 200;
export const MAX_LOG_ENTRIES = 200;

const QUEUE_PAUSED = 'Processing is paused for all workers.';
const COLUMNS = sql`w.id, w.name, w.organization_id, w.status, w.payload, w.result, w.progress, w.run_at, w.started_by,
  w.worker_id, w.approved_as, w.created_at, w.updated_at,
  case when w.status <> 'running' or w.lease is not null then null
    when (select paused from tds_queue_state) then ${QUEUE_PAUSED}
    else coalesce(w.waits_for, 'A free worker.') end as waits_for`;

/** Runs, newest first, and how many match altogether. */
export async function listWorkflows(
  db: Database,
  { limit, after, ...filter }: WorkflowFilter & { limit: number; after?: Position | undefined },
): Promise<{ workflows: WorkflowView[]; next: Position | undefined; total: number }> {
  const behind = after ? sql`and (w.created_at, w.id) < (${after.at}::timestamptz, ${after.id}::uuid)` : sql``;
  // One more than asked for tells whether another page follows.
  const { rows } = await sql<WorkflowView & { at: string; found: number }>`
    with latest as (
      select w.*, count(*) over () as found, row_number() over newest as place,
        sum(octet_length(payload::text) + coalesce(octet_length(result::text), 0))
          over (newest rows between unbounded preceding and 1 preceding) as bytes_before
      from (select * from tds_workflows w where ${matches(filter)} ${behind}
            order by created_at desc, id desc limit ${limit + 1}) w
      window newest as (order by created_at desc, id desc))
    select ${COLUMNS}, created_at::text as at, found::int from latest w
    where place <= ${limit} and coalesce(bytes_before, 0) < ${MAX_BYTES} order by place`.execute(db);
  const last = rows.at(-1);
  return {
    workflows: rows.map(({ at: _at, found: _found, ...workflow }) => workflow),
    next: last && last.found > rows.length ? { at: last.at, id: last.id } : undefined,
    total: await countWorkflows(db, filter),
  };
}

async function countWorkflows(db: Database, filter: WorkflowFilter): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from tds_workflows w where ${matches(filter)}`.execute(db);
  return rows[0]?.n ?? 0;
}

function matches({ status, name, q }: WorkflowFilter): RawBuilder<boolean> {
  const conditions = [
    status === undefined ? undefined : sql`w.status = ${status}`,
    name === undefined ? undefined : sql`w.name = ${name}`,
    q === undefined ? undefined : sql`strpos(lower(${SEARCHED}), lower(${q})) > 0`,
  ];
  return sql<boolean>`${sql.join([sql`true`, ...conditions.filter((one) => one !== undefined)], sql` and `)}`;
}

const SEARCHED = sql`concat_ws(' ', w.id, w.name, w.organization_id, w.payload, w.result ->> 'message')`;

/** One run, or undefined. */
export async function readWorkflow(db: Database, id: string): Promise<WorkflowView | undefined> {
  const { rows } = await sql<WorkflowView>`select ${COLUMNS} from tds_workflows w where id = ${id}`.execute(db);
  return rows[0];
}

/** The latest activities of a run, in their order, and how many there are altogether. */
export async function readActivities(db: Database, id: string): Promise<{ activities: ActivityView[]; total: number }> {
  const { rows } = await sql<ActivityView & { total: number }>`
    with latest as (
      select a.*, sum(coalesce(octet_length(output::text), 0))
          over (order by position desc rows between unbounded preceding and 1 preceding) as bytes_before
      from (select * from tds_workflow_activities where workflow_id = ${id}
            order by position desc limit ${MAX_ACTIVITIES}) a)
    select name, status, attempt, started_at, completed_at, output, error,
      (select count(*)::int from tds_workflow_activities where workflow_id = ${id}) as total
    from latest where coalesce(bytes_before, 0) < ${MAX_BYTES} order by position`.execute(db);
  return { activities: rows.map(({ total: _total, ...activity }) => activity), total: rows[0]?.total ?? 0 };
}

/** What happened to a run, in order: the latest entries. */
export async function readLog(db: Database, id: string): Promise<LogView[]> {
  const { rows } = await sql<LogView>`
    select created_at, message, activity_name, error_tag from (
      select * from tds_workflow_logs where workflow_id = ${id} order by id desc limit ${MAX_LOG_ENTRIES}) latest
    order by id`.execute(db);
  return rows;
}

/** The runs in a worker's hands that it must let go: paused, terminated, or no longer under its lease. */
export async function runsToStop(
  db: Database,
  held: readonly { id: string; lease: string }[],
): Promise<{ lease: string; why: 'paused' | 'terminated' | 'lease_lost' }[]> {
  const { rows } = await sql<{ lease: string; why: 'paused' | 'terminated' | 'lease_lost' }>`
    select h.lease, case when w.status in ('paused', 'terminated') then w.status else 'lease_lost' end as why
    from unnest(${held.map(({ id }) => id)}::uuid[], ${held.map(({ lease }) => lease)}::uuid[]) as h (id, lease)
    left join tds_workflows w on w.id = h.id
    where w.status is distinct from 'running' or w.lease is distinct from h.lease`.execute(db);
  return rows;
}
