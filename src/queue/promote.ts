import type { Pool } from 'pg';

/** Makes events whose `run_at` has come claimable, at most 1,000 a call. Returns how many. */
export async function promote(pool: Pool): Promise<number> {
  const { rowCount } = await pool.query({
    name: 'promote',
    text: `
      update tds_queue_waiting set due = true where (entity_key, arrival) in (
        select entity_key, arrival from tds_queue_waiting
        where not due and not suspect and not held and run_at <= statement_timestamp()
        order by run_at limit 1000 for update skip locked)`,
  });
  return rowCount ?? 0;
}
