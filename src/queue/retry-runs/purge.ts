import type { Pool } from 'pg';

const BATCH = 1000;

/**
 * Deletes bulk retries that ended more than `days` ago: their events 1,000 rows at a time, then the runs. What `signal`
 * leaves undone is done the next time.
 * @returns how many runs
 */
export async function purgeRetryRuns(pool: Pool, days: number, signal?: AbortSignal): Promise<number> {
  for (let deleted = BATCH; deleted === BATCH && !signal?.aborted; )
    deleted = (await pool.query(EVENTS, [days, BATCH])).rowCount ?? 0;
  return (await pool.query(RUNS, [days])).rowCount ?? 0;
}

const OLD = `r.ended_at < now() - $1::int * interval '1 day'`;
const EVENTS = `
delete from tds_retry_run_events where ctid = any (array(
  select e.ctid from tds_retry_runs r join tds_retry_run_events e on e.run_id = r.id where ${OLD} limit $2))`;
const RUNS = `
delete from tds_retry_runs r where ${OLD} and not exists (select from tds_retry_run_events e where e.run_id = r.id)`;
