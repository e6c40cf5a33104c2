import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Facts } from './rules.ts';

/**
 * What the alert rules look at, in one snapshot. Reads counters, roll-ups and live claims only: its cost does not grow
 * with the completed events. All numbers of one statement agree with each other.
 */
export async function readFacts(db: Database): Promise<Facts> {
  const { rows } = await sql<Facts>`
    select
      (select coalesce(sum(pending), 0)::float8 from tds_queue_counts) as pending,
      (select coalesce(sum(dead_letter), 0)::float8 from tds_queue_counts) as "deadLetters",
      (select count(*)::float8 from tds_queue_leases c join tds_sync_queue q on q.id = any (c.ids)
       where q.status = 'processing' and q.started_at < now() - interval '1 hour') as stuck,
      (select 100 * sum(failed)::float8 / nullif(sum(succeeded + failed), 0)::float8
       from tds_processing_totals where bucket > now() - interval '1 hour') as "failurePercent"
  `.execute(db);
  return rows[0] ?? { pending: null, deadLetters: null, stuck: null, failurePercent: null };
}
