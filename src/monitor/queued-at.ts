import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** `queued_at` to the microsecond, as text: a Date would drop three digits, and with them rows between two pages. */
export async function queuedAtExactly(db: Database, id: string): Promise<string> {
  const { queued_at } = await db
    .selectFrom('tds_sync_queue')
    .select(sql<string>`queued_at::text`.as('queued_at'))
    .where('id', '=', id)
    .executeTakeFirstOrThrow();
  return queued_at;
}
