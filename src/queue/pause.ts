import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type PauseState = {
  paused: boolean;
  /** Null unless paused, and so are the others. */
  paused_at: Date | null;
  paused_by: string | null;
  reason: string | null;
};

/**
 * Stops all claiming, in every worker, until `resume`. Events that are being processed finish. A queue that is paused
 * stays as it is: the first reason stands.
 */
export async function pause(
  db: Kysely<Schema>,
  operator: string,
  reason: string | null,
): Promise<'paused' | 'already'> {
  const { numUpdatedRows } = await db
    .updateTable('tds_queue_state')
    .set({ paused: true, paused_at: sql<Date>`now()`, paused_by: operator, reason })
    .where('paused', '=', false)
    .executeTakeFirst();
  return numUpdatedRows > 0n ? 'paused' : 'already';
}

/** Lets claiming go on. */
export async function resume(db: Kysely<Schema>): Promise<'resumed' | 'already'> {
  const { numUpdatedRows } = await db
    .updateTable('tds_queue_state')
    .set({ paused: false, paused_at: null, paused_by: null, reason: null })
    .where('paused', '=', true)
    .executeTakeFirst();
  await sql`select pg_notify('tds_queue', '')`.execute(db);
  return numUpdatedRows > 0n ? 'resumed' : 'already';
}

/** Whether claiming is stopped, since when, by whom and why. */
export async function pauseState(db: Kysely<Schema>): Promise<PauseState> {
  return db
    .selectFrom('tds_queue_state')
    .select(['paused', 'paused_at', 'paused_by', 'reason'])
    .executeTakeFirstOrThrow();
}
