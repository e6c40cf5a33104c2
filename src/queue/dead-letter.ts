import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { lockStatus } from './replay.ts';

export type RetryResult =
  | { outcome: 'retried'; queueId: string }
  | { outcome: 'not_found' }
  | { outcome: 'conflict' }
  | { outcome: 'quarantined' }
  | { outcome: 'discarded' };

/**
 * Sets the event of an open dead letter back to `pending`, with fresh attempts; the dead letter closes by trigger. Of any
 * number of retries at once one succeeds and the others are told `conflict`. What an operator took out of the queue is
 * left to `release`, and what was discarded to `restore`. Give it a transaction.
 * @param id of the event, which is also the dead letter's
 */
export async function retryDeadLetter(trx: Kysely<Schema>, id: string): Promise<RetryResult> {
  // Locked by a statement of its own: the next one sees whatever happened before the lock was ours.
  const status = await lockStatus(trx, id);
  const letters = trx
    .selectFrom('tds_dead_letter_queue')
    .select(['quarantined_by', 'discarded_at'])
    .where('id', '=', id);
  const letter = await letters.executeTakeFirst();
  if (!letter) return { outcome: 'not_found' };
  if (letter.discarded_at !== null) return { outcome: 'discarded' };
  if (status !== 'dead_letter') return { outcome: 'conflict' };
  if (letter.quarantined_by !== null) return { outcome: 'quarantined' };
  await sql`
    update tds_sync_queue set status = 'pending', attempt_count = 0, release_count = 0, suspect = false, run_at = now(),
      started_at = null, outcome = null, error_tag = null, error_message = null
    where id = ${id} returning pg_notify('tds_queue', '')`.execute(trx);
  return { outcome: 'retried', queueId: id };
}
