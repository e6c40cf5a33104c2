import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type HourOfActivity = {
  /** Begin of the hour, UTC, RFC 3339. */
  hour: string;
  /** Events that entered the queue in this hour. */
  arrivals: number;
  /** Attempts that completed their event. */
  completions: number;
  /** Attempts that failed. */
  failures: number;
};

/**
 * What happened in each of the last `hours` hours, the current one last and unfinished: sums of tds_processing_totals,
 * 360 rows an hour, however many events there were.
 */
export async function readActivity(db: Database, hours: number): Promise<HourOfActivity[]> {
  const { rows } = await sql<HourOfActivity>`
    select to_char(h.hour at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as hour,
      coalesce(sum(arrived), 0)::float8 as arrivals, coalesce(sum(succeeded), 0)::float8 as completions,
      coalesce(sum(failed), 0)::float8 as failures
    from generate_series(date_bin('1 hour', now(), 'epoch') - (${hours}::int - 1) * interval '1 hour', now(), '1 hour')
      as h (hour)
    left join tds_processing_totals t on t.bucket >= h.hour and t.bucket < h.hour + interval '1 hour'
    group by h.hour order by h.hour`.execute(db);
  return rows;
}
