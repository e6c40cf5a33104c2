import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type RetryResult =
  | { outcome: 'retried'; queueId: string }
  | { outcome: 'not_found' }
  | { outcome: 'conflict' }
  | { outcome: 'quarantined' }
  | { outcome: 'discarded' };

/**
 * Sets the event of an open dead letter back to `pending`, with fresh attempts; the dead letter closes by trigger. It
 * is one update of one row, so of any number of retries at once one succeeds and the others are told `conflict`. What an
 * operator took out of the queue is left to `release`, and what was discarded to `restore`.
 * @param id of the event, which is also the dead letter's
 */
export async function retryDeadLetter(db: Kysely<Schema>, id: string): Promise<RetryResult> {
  const { rows } = await sql<{ id: string }>`
    update tds_sync_queue set status = 'pending', attempt_count = 0, release_count = 0, suspect = false, run_at = now(),
      started_at = null, outcome = null, error_tag = null, error_message = null
    where id = ${id} and status = 'dead_letter' and not exists (
      select from tds_dead_letter_queue d where d.id = ${id} and d.quarantined_by is not null)
    returning id, pg_notify('tds_queue', '')`.execute(db);
  if (rows[0]) return { outcome: 'retried', queueId: rows[0].id };
  const letters = db
    .selectFrom('tds_dead_letter_queue')
    .select(['quarantined_by', 'discarded_at'])
    .where('id', '=', id);
  const letter = await letters.executeTakeFirst();
  if (!letter) return { outcome: 'not_found' };
  if (letter.discarded_at !== null) return { outcome: 'discarded' };
  return { outcome: letter.quarantined_by === null ? 'conflict' : 'quarantined' };
}
