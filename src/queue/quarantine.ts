import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { lockStatus } from './replay.ts';
import type { Status } from './vocabulary.ts';

export type QuarantineResult =
  | { outcome: 'quarantined' }
  | { outcome: 'not_found' }
  | { outcome: 'not_waiting'; status: Status };

/**
 * Takes an event that waits out of the queue, so that later events of its entity go on without it: a dead letter that
 * no retry touches until `release`. `reason` becomes its error. Give it a transaction.
 */
export async function quarantine(
  trx: Kysely<Schema>,
  id: string,
  operator: string,
  reason: string,
): Promise<QuarantineResult> {
  const status = await lockStatus(trx, id);
  if (status === undefined) return { outcome: 'not_found' };
  if (status !== 'pending' && status !== 'retry') return { outcome: 'not_waiting', status };
  await sql`
    update tds_sync_queue set status = 'dead_letter', suspect = false, error_tag = coalesce(error_tag, 'UnknownError'),
      error_message = ${reason} where id = ${id}`.execute(trx);
  await trx
    .updateTable('tds_dead_letter_queue')
    .set({ quarantined_by: operator, kind: 'quarantined' })
    .where('id', '=', id)
    .execute();
  return { outcome: 'quarantined' };
}

export type ReleaseResult = { outcome: 'released' } | { outcome: 'not_found' } | { outcome: 'not_quarantined' };

/** Lets an event that `quarantine` took out wait again, where it stood and with the attempts it had. */
export async function release(trx: Kysely<Schema>, id: string): Promise<ReleaseResult> {
  if ((await lockStatus(trx, id)) === undefined) return { outcome: 'not_found' };
  const { rows } = await sql`
    update tds_sync_queue set status = 'pending', run_at = now(), error_tag = null, error_message = null
    where id = ${id} and status = 'dead_letter'
      and exists (select from tds_dead_letter_queue d where d.id = ${id} and d.quarantined_by is not null)
    returning id, pg_notify('tds_queue', '')`.execute(trx);
  return { outcome: rows.length > 0 ? 'released' : 'not_quarantined' };
}
