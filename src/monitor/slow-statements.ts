import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { sqlState } from '../errors/postgres.ts';

export type SlowStatement = {
  calls: number;
  total_ms: number;
  mean_ms: number;
  max_ms: number;
  rows: number;
  /** Share of the total of all statements of the database, in percent. */
  share_percent: number;
  /** Values stand as $1, $2; at most 2,000 characters. */
  query: string;
};

export type SlowStatements = { available: boolean; advice: string | null; statements: SlowStatement[] };

const NOT_IN_PREREQUISITE_STATE = '55000';
const INSTALL =
  "Add pg_stat_statements to shared_preload_libraries, restart PostgreSQL, then: create extension pg_stat_statements; grant pg_read_all_stats to the application's role.";

/** The statements of this database that took most time in all, where pg_stat_statements is installed. */
export async function readSlowStatements(db: Database, limit: number): Promise<SlowStatements> {
  const { rows } = await sql<{ schema: string }>`
    select nspname as schema from pg_extension e join pg_namespace n on n.oid = extnamespace
    where extname = 'pg_stat_statements'`.execute(db);
  const schema = rows[0]?.schema;
  if (schema === undefined) return { available: false, advice: INSTALL, statements: [] };
  try {
    return { available: true, advice: null, statements: await slowest(db, schema, limit) };
  } catch (error) {
    // The extension is there, and its library is not loaded.
    if (sqlState(error) !== NOT_IN_PREREQUISITE_STATE) throw error;
    return { available: false, advice: INSTALL, statements: [] };
  }
}

async function slowest(db: Database, schema: string, limit: number): Promise<SlowStatement[]> {
  const { rows } = await sql<SlowStatement>`
    with ours as (
      select calls, total_exec_time, mean_exec_time, max_exec_time, rows, query
      from ${sql.id(schema, 'pg_stat_statements')}
      where dbid = (select oid from pg_database where datname = current_database()))
    select calls::float8 as calls, round(total_exec_time::numeric, 3)::float8 as total_ms,
      round(mean_exec_time::numeric, 3)::float8 as mean_ms, round(max_exec_time::numeric, 3)::float8 as max_ms,
      rows::float8 as rows, left(query, 2000) as query,
      round((100 * total_exec_time / nullif(sum(total_exec_time) over (), 0))::numeric, 2)::float8 as share_percent
    from ours order by total_exec_time desc limit ${limit}`.execute(db);
  return rows;
}
