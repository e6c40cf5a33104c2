import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** Stops all claiming, in every worker, until `resume`. Events that are being processed finish. */
export async function pause(db: Kysely<Schema>, operator: string, reason: string | null): Promise<void> {
  await db
    .updateTable('tds_queue_state')
    .set({ paused: true, paused_at: sql<Date>`now()`, paused_by: operator, reason })
    .execute();
}

/** Lets claiming go on. */
export async function resume(db: Kysely<Schema>): Promise<void> {
  await db
    .updateTable('tds_queue_state')
    .set({ paused: false, paused_at: null, paused_by: null, reason: null })
    .execute();
  await sql`select pg_notify('tds_queue', '')`.execute(db);
}

/** Whether claiming is stopped, by whom and why. */
export async function pauseState(db: Kysely<Schema>) {
  return db
    .selectFrom('tds_queue_state')
    .select(['paused', 'paused_at', 'paused_by', 'reason'])
    .executeTakeFirstOrThrow();
}
