import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** Tells the triggers of books_records how many days past versions are kept; with 0 they write none. */
export async function setHistoryDays(db: Database, days: number): Promise<void> {
  await sql`update books_history_days set days = ${days} where days <> ${days}`.execute(db);
}
