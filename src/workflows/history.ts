import type { Kysely } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { ErrorTag } from '../errors.ts';

export type HistoryEntry = {
  workflowId: string;
  message: string;
  activityName?: string | undefined;
  errorTag?: ErrorTag | undefined;
  workerId?: string | undefined;
};

/** Writes down what happened to a run, for its page; give it the transaction in which it happens, where there is one. */
export async function remember(db: Kysely<Schema>, entry: HistoryEntry): Promise<void> {
  const { workflowId, message, activityName = null, errorTag = null, workerId = null } = entry;
  await db
    .insertInto('tds_workflow_logs')
    .values({
      workflow_id: workflowId,
      message,
      activity_name: activityName,
      error_tag: errorTag,
      worker_id: workerId,
    })
    .execute();
}
