import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type ReplayResult =
  | { outcome: 'replayed' }
  | { outcome: 'not_found' }
  | { outcome: 'processing' }
  | { outcome: 'discarded' }
  | { outcome: 'quarantined' };

/**
 * Sets the queue row of an event back to `pending` with fresh attempts, to run now: the same row, one id for ever. What
 * happened before stays in the logs. Whatever state it is in, unless a worker has it in hand or an operator took it out.
 * Give it a transaction.
 */
export async function replay(trx: Kysely<Schema>, id: string): Promise<ReplayResult> {
  const status = await lockStatus(trx, id);
  if (status === undefined) return { outcome: (await hasLetter(trx, id, 'discarded_at')) ? 'discarded' : 'not_found' };
  if (status === 'processing') return { outcome: 'processing' };
  if (status === 'dead_letter' && (await hasLetter(trx, id, 'quarantined_by'))) return { outcome: 'quarantined' };
  await sql`
    update tds_sync_queue set status = 'pending', attempt_count = 0, release_count = 0, suspect = false, run_at = now(),
      started_at = null, completed_at = null, outcome = null, error_tag = null, error_message = null
    where id = ${id} returning pg_notify('tds_queue', '')`.execute(trx);
  return { outcome: 'replayed' };
}

/** The status of an event, whose row stays locked until the transaction ends; undefined when there is none. */
export async function lockStatus(trx: Kysely<Schema>, id: string) {
  const row = await trx
    .selectFrom('tds_sync_queue')
    .select('status')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  return row?.status;
}

/** Whether the event has a dead letter with this mark. */
async function hasLetter(trx: Kysely<Schema>, id: string, mark: 'quarantined_by' | 'discarded_at'): Promise<boolean> {
  const query = trx.selectFrom('tds_dead_letter_queue').select('id').where(mark, 'is not', null);
  return (await query.where('id', '=', id).executeTakeFirst()) !== undefined;
}
