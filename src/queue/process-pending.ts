import type { Pool } from 'pg';
import { inTransaction } from '../db/transaction.ts';

const BATCH = 1000;

/**
 * Lets every event that waits for its next attempt run now: the seeds' "manually trigger processing". What waits for a
 * rate limit is left alone, because it would only meet the limit again, and so is what is paused. Attempts stay as they are.
 *
 * In transactions of 1,000 rows in order of arrival, each row once, so that what fails again meanwhile waits as it should.
 * Rows that somebody holds are passed over.
 * Locks: rows of the queue, then those of `tds_queue_waiting` by trigger. A claim takes them the other way round, but
 * only of events that are due, which these are not.
 * @returns how many events
 */
export async function processPending(pool: Pool): Promise<number> {
  for (let events = 0, after = '0'; ; ) {
    const batch = await inTransaction(pool, (client) => client.query<Batch>(RUN_NOW, [after, BATCH]));
    const { updated = 0, last = null } = batch.rows[0] ?? {};
    events += updated;
    if (last === null) return events;
    after = last;
  }
}

/** How many events `processPending` would let run. */
export async function countPending(pool: Pool): Promise<number> {
  const { rows } = await pool.query<{ events: number }>(
    `select count(*)::int as events from tds_queue_waiting where status = 'retry' and not due and not suspect and not held`,
  );
  return rows[0]?.events ?? 0;
}

type Batch = { updated: number; last: string | null };

const RUN_NOW = `
with next as materialized (
  select id, arrival from tds_queue_waiting
  where not due and status = 'retry' and not suspect and not held and arrival > $1::bigint order by arrival limit $2),
mine as materialized (
  select id from tds_sync_queue where id = any (array(select id from next)) and status || '' = 'retry' for update skip locked),
updated as (
  update tds_sync_queue set run_at = statement_timestamp() where id = any (array(select id from mine))
  returning pg_notify('tds_queue', ''))
select (select count(*)::int from updated) as updated, (select max(arrival)::text from next) as last`;
