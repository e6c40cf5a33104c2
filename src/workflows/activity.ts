/** One activity of a run in the database: begun, completed together with its effects, or failed. */
import { sql } from 'kysely';
import type { Pool, PoolClient } from 'pg';
import type { Database } from '../db/database.ts';
import { transactionOver } from '../db/handler-transaction.ts';
import { inTransaction } from '../db/transaction.ts';
import type { Failure } from './failure.ts';
import type { HeldRun } from './held.ts';
import { remember } from './history.ts';
import type { WorkflowStatus } from './state.ts';
import { type Activity, type Json, type Progress, Stopped } from './workflow.ts';

export type Begun = {
  /** Set when the activity was completed before after all: a COMMIT whose answer was lost. */
  completed: { output: Json; progress: Progress } | null;
  /** Another run could be claimed and has been waiting for some seconds. */
  othersWait: boolean;
};

type Standing = { status: WorkflowStatus; mine: boolean; paused: boolean };
type BegunRow = Standing & { others_wait: boolean; done: boolean; output: Json; progress: Progress };

/**
 * Notes that an attempt at an activity begins.
 * @param names the workflows this worker knows
 * @throws Stopped when the run may not go on here
 */
export async function beginActivity(
  db: Database,
  { id, lease }: HeldRun,
  { name, attempt, names }: { name: string; attempt: number; names: readonly string[] },
): Promise<Begun> {
  const { rows } = await sql<BegunRow>`
    with run as materialized (
      select id, status, coalesce(lease = ${lease}, false) as mine, progress,
        (select paused from tds_queue_state) as paused
      from tds_workflows where id = ${id} for no key update),
    begun as (
      insert into tds_workflow_activities as a (workflow_id, name, position, status, attempt, started_at)
      select id, ${name}, 1 + coalesce((select max(position) from tds_workflow_activities where workflow_id = ${id}), 0),
        'running', ${attempt}, clock_timestamp()
      from run where mine and status = 'running' and not paused
      on conflict (workflow_id, name) do update
        set status = 'running', attempt = excluded.attempt, started_at = excluded.started_at, completed_at = null,
          next_attempt_at = null
        where a.status <> 'completed')
    select run.status, mine, paused, progress, coalesce(a.status = 'completed', false) as done, a.output,
      exists (select from tds_workflows where status = 'running' and lease is null and name = any(${names})
        and run_at < clock_timestamp() - interval '2 seconds') as others_wait
    from run left join tds_workflow_activities a on a.workflow_id = run.id and a.name = ${name}`.execute(db);
  const row = demandStanding(rows[0]);
  return {
    completed: row.done ? { output: row.output, progress: row.progress } : null,
    othersWait: row.others_wait,
  };
}

/**
 * Runs what an activity writes and stores its output and the run's progress in the same transaction. `progress` is
 * asked when the write is done, because that is where it changes.
 * @throws Stopped when the run is no longer ours, paused or terminated: then nothing of it was written
 */
export async function completeActivity<Fetched, Output extends Json>(
  pool: Pool,
  held: HeldRun,
  { name, write, progress }: { name: string; write: Activity<Fetched, Output>['write']; progress: () => Progress },
  fetched: Fetched,
): Promise<Output> {
  return inTransaction(pool, async (client) => {
    const output = (await write(transactionOver(client), fetched, client)) ?? null;
    await storeOutput(client, held, name, output, progress());
    return output as Output;
  });
}

/**
 * The fence stands at the end: the row of the run is locked for a moment only, so that an operator's deed need not wait
 * for the writes. A deed that comes first makes this update find nothing, and the transaction is undone.
 */
async function storeOutput(client: PoolClient, held: HeldRun, name: string, output: Json, progress: Progress) {
  const { rowCount } = await client.query(COMPLETE, [
    held.id,
    held.lease,
    name,
    JSON.stringify(output),
    JSON.stringify(progress),
  ]);
  if (rowCount === 1) return;
  const { rows } = await client.query<Standing>(
    `select status, coalesce(lease = $2, false) as mine, false as paused from tds_workflows where id = $1`,
    [held.id, held.lease],
  );
  demandStanding(rows[0]);
  throw new Stopped('lease_lost');
}

const COMPLETE = `
with run as (
  update tds_workflows set updated_at = clock_timestamp(), progress = $5, crash_count = 0
  where id = $1 and lease = $2 and status = 'running' returning id)
update tds_workflow_activities a
set status = 'completed', completed_at = clock_timestamp(), output = $4, error = null
from run where a.workflow_id = run.id and a.name = $3 and a.status <> 'completed'`;

/** Notes that an attempt failed; `retrySeconds`: another one follows after so long, undefined: none does. */
export async function failActivity(
  db: Database,
  held: HeldRun,
  { name, attempt, failure, retrySeconds }: { name: string; attempt: number; failure: Failure; retrySeconds?: number },
): Promise<void> {
  const ended = retrySeconds === undefined;
  await db.transaction().execute(async (trx) => {
    const { numAffectedRows } = await sql`
      update tds_workflow_activities set status = ${ended ? 'failed' : 'retry'}, error = ${JSON.stringify(failure)}::jsonb,
        completed_at = case when ${ended}::boolean then clock_timestamp() end,
        next_attempt_at = clock_timestamp() + make_interval(secs => ${retrySeconds ?? null})
      where workflow_id = ${held.id} and name = ${name} and exists (
        select from tds_workflows where id = ${held.id} and lease = ${held.lease} for no key update)`.execute(trx);
    if (numAffectedRows === 0n) return;
    const next = ended ? 'no further attempt' : `next attempt in ${retrySeconds} s`;
    await remember(trx, {
      ...{ workflowId: held.id, activityName: name, errorTag: failure.tag, workerId: held.workerId },
      message: `attempt ${attempt} failed, ${next}: ${failure.message}`,
    });
  });
}

/** Throws Stopped unless the run is running, ours, and nothing is paused. */
function demandStanding<S extends Standing>(row: S | undefined): S {
  if (!row?.mine) throw new Stopped(row?.status === 'terminated' ? 'terminated' : 'lease_lost');
  if (row.status === 'paused' || row.status === 'terminated') throw new Stopped(row.status);
  if (row.status !== 'running') throw new Stopped('lease_lost');
  if (row.paused) throw new Stopped('queue_paused');
  return row;
}
