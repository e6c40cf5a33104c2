/** The roll-ups of tds_metrics_periods: how they are kept up to date, compared with the tables, and forgotten. */
import { sql } from 'kysely';
import type { Pool, PoolClient } from 'pg';
import type { Database } from '../../db/database.ts';
import { inTransaction } from '../../db/transaction.ts';

const BATCH = 10_000;
/** It reads all events of three days. */
const LONGEST_CHECK_MS = 600_000;

/**
 * Adds what has happened to the roll-ups, and answers how many changes that were. Each batch is one statement: a crash
 * leaves it undone or done. One process at a time; while another one does it, this does nothing.
 */
export async function foldMetrics(db: Database): Promise<number> {
  for (let total = 0; ; ) {
    const { rows } = await sql<{ folded: number }>`select tds_metrics_fold()::int as folded`.execute(db);
    const folded = rows[0]?.folded ?? 0;
    total += folded;
    if (folded < BATCH) return total;
  }
}

/** Counts the last three days anew from the tables and remembers how many roll-ups differ, for the alert. */
export async function checkMetrics(pool: Pool): Promise<number> {
  const query = { text: 'select tds_metrics_check()::float8 as drift', query_timeout: LONGEST_CHECK_MS + 5000 };
  const check = (client: PoolClient) => client.query<{ drift: number }>(query);
  const { rows } = await inTransaction(pool, check, `begin; set local statement_timeout = ${LONGEST_CHECK_MS}`);
  return rows[0]?.drift ?? 0;
}

/** Days and weeks are kept so many times as long as hours. */
const LONGER = 10;

/** Deletes roll-ups per hour that are older than `days`, and those per day and week after ten times as long. */
export async function purgeMetrics(db: Database, days: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from tds_metrics_periods
    where period = 'hour' and starts_at < now() - ${days}::int * interval '1 day'
      or period in ('day', 'week') and starts_at < now() - ${days * LONGER}::int * interval '1 day'`.execute(db);
  return Number(numAffectedRows ?? 0n);
}
