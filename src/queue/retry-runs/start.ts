import { type Kysely, sql } from 'kysely';
import type { Schema } from '../../db/schema.ts';
import { isChosen, planRetry, type Selection } from './selection.ts';

export type RunRequest = {
  selection: Selection;
  /** What was asked for, as it is to be shown; a group is resolved to the ids in `selection`. */
  asked: Record<string, unknown>;
  operator: string;
  reason: string | null;
  /** Also what failed for a cause that another attempt does not cure by itself. */
  force: boolean;
  ratePerSecond: number;
  /** Above this share of failures the run stops by itself. */
  maxFailurePercent: number;
  maxAttempts: number;
};

export type StartResult =
  | { outcome: 'started'; id: string }
  | { outcome: 'empty' }
  | { outcome: 'permanent'; count: number; permanent: number };

/**
 * Begins a run over a snapshot: what dies later is not in it, and each dead letter is in it once. Nothing is retried
 * yet: workers do that, see advance.ts. Give it a transaction.
 */
export async function startRetryRun(trx: Kysely<Schema>, request: RunRequest): Promise<StartResult> {
  const { selection, maxAttempts } = request;
  const { count, permanent } = await planRetry(trx, selection, maxAttempts);
  if (count === 0) return { outcome: 'empty' };
  if (permanent > 0 && !request.force) return { outcome: 'permanent', count, permanent };
  const { id } = await trx
    .insertInto('tds_retry_runs')
    .values({
      created_by: request.operator,
      reason: request.reason,
      selection: JSON.stringify(request.asked),
      rate_per_second: request.ratePerSecond,
      max_failure_percent: request.maxFailurePercent,
      total: 0,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  await takeSnapshot(trx, id, selection);
  return { outcome: 'started', id };
}

async function takeSnapshot(trx: Kysely<Schema>, id: string, selection: Selection): Promise<void> {
  await sql`
    with snapshot as (
      insert into tds_retry_run_events (run_id, event_id, place)
      select ${id}, d.id, row_number() over (order by q.arrival)
      from tds_dead_letter_queue d join tds_sync_queue q on q.id = d.id where ${isChosen(selection)} returning 1)
    update tds_retry_runs set total = (select count(*) from snapshot) where id = ${id}`.execute(trx);
}
