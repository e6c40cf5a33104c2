import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** How many workers have renewed their lease in time. */
export async function aliveWorkers(db: Database): Promise<number> {
  const { rows } = await sql<{ alive: number }>`
    select count(*)::int as alive from tds_workers where ended_at is null and expires_at > now()`.execute(db);
  return rows[0]?.alive ?? 0;
}
