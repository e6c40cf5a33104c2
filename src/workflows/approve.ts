import type { Database } from '../db/database.ts';
import { remember } from './history.ts';
import { type StartOutcome, startRun } from './start.ts';
import type { Request } from './validate.ts';
import type { CompletedRun, Json } from './workflow.ts';

export type ApproveOutcome =
  | StartOutcome
  | { outcome: 'not_found' }
  /** The run has not completed, or has withheld nothing. */
  | { outcome: 'nothing' }
  /** Somebody has approved it before; `id` is the run that applies it. */
  | { outcome: 'already'; id: string };

/**
 * Starts the run that applies what a completed one withheld. Once: the row of the completed run is locked and keeps the
 * id of the new one. Give it a transaction.
 * @param following what its definition makes of the approval; null when nothing was withheld
 */
export async function approveRun(
  trx: Database,
  id: string,
  following: (completed: CompletedRun & { name: string }) => Request | null,
  by: string,
  newId: string,
): Promise<ApproveOutcome> {
  const run = await trx
    .selectFrom('tds_workflows')
    .select(['name', 'organization_id', 'status', 'payload', 'result', 'approved_as'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!run) return { outcome: 'not_found' };
  if (run.approved_as !== null) return { outcome: 'already', id: run.approved_as };
  if (run.status !== 'completed') return { outcome: 'nothing' };
  const { name, organization_id: organizationId, payload, result } = run;
  const next = following({ id, name, organizationId, payload: payload as Json, result: result as Json });
  if (!next) return { outcome: 'nothing' };
  const start = await startRun(trx, next, by, newId);
  if (start.outcome === 'started') {
    await trx.updateTable('tds_workflows').set({ approved_as: newId }).where('id', '=', id).execute();
    await remember(trx, { workflowId: id, message: `approved by ${by}; the run ${newId} applies it` });
  }
  return start;
}
