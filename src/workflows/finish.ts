/** The ends of a worker's hold on a run. Each writes only under the lease, and answers whether it was still ours. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Failure } from './failure.ts';
import { type HeldRun, WORKFLOWS_CHANNEL } from './held.ts';
import { remember } from './history.ts';
import type { Json } from './workflow.ts';

const LET_GO = sql`lease = null, worker_id = null, claimed_at = null`;

/** The run has come to its end, unless it was paused or terminated in the meantime. */
export async function completeRun(db: Database, held: HeldRun, result: Json): Promise<boolean> {
  return endRun(db, held, sql`status = 'completed', result = ${JSON.stringify(result)}::jsonb`);
}

/**
 * The run has failed for good, until an operator retries it.
 * @param activities completed ones that failed with it after all
 */
export async function failRun(
  db: Database,
  held: HeldRun,
  failure: Failure,
  activities: readonly string[] = [],
): Promise<boolean> {
  return db.transaction().execute(async (trx) => {
    const ended = await endRun(trx, held, sql`status = 'failed', result = ${JSON.stringify(failure)}::jsonb`);
    if (ended) {
      await sql`
        update tds_workflow_activities set status = 'failed', output = null, error = ${JSON.stringify(failure)}::jsonb
        where workflow_id = ${held.id} and name = any (${activities}::text[]) and status = 'completed'`.execute(trx);
      await remember(trx, {
        ...{ workflowId: held.id, workerId: held.workerId, errorTag: failure.tag },
        message: `failed: ${failure.message}`,
      });
    }
    return ended;
  });
}

async function endRun(db: Database, { id, lease }: HeldRun, end: RawBuilder<unknown>): Promise<boolean> {
  const { numAffectedRows } = await sql`
    update tds_workflows set ${end}, ${LET_GO}, updated_at = clock_timestamp()
    where id = ${id} and lease = ${lease} and status = 'running'`.execute(db);
  return numAffectedRows === 1n;
}

/**
 * Gives the run back, at no cost, to go on after `seconds` with the activity it was in. `waitsFor`: why, as a sentence.
 * A paused or terminated run is let go and stays what it is.
 */
export async function giveBack(
  db: Database,
  { id, lease }: HeldRun,
  { seconds, waitsFor }: { seconds: number; waitsFor: string | null },
): Promise<boolean> {
  const { rows } = await sql`
    with given as (
      update tds_workflows set ${LET_GO}, waits_for = ${waitsFor},
        run_at = clock_timestamp() + make_interval(secs => ${seconds})
      where id = ${id} and lease = ${lease} returning id),
    ${interrupted(sql`select id from given`)}
    select pg_notify(${WORKFLOWS_CHANNEL}, '') from given`.execute(db);
  return rows.length === 1;
}

/** A WITH clause: activities that were under way in these runs will be done again. */
export function interrupted(ids: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`interrupted as (
      update tds_workflow_activities set status = 'interrupted', next_attempt_at = null
      where workflow_id in (${ids}) and status in ('running', 'retry'))`;
}
