import { type Kysely, sql } from 'kysely';

/**
 * The calls of handlers that declare a rate limit, counted for the whole fleet.
 *
 * Unlogged: after a crash of PostgreSQL a window of some seconds begins anew, and a counter costs no WAL.
 * fillfactor 10: one row per handler, rewritten with every call, stays on its page (HOT).
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`
    create unlogged table tds_rate_limits (
      name text primary key,
      calls bigint not null,
      window_ends_at timestamptz not null
    ) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000)`.execute(db);
  await sql`comment on table tds_rate_limits is 'calls of rate-limited handlers in their current window'`.execute(db);
}
