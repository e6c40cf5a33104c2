import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

const BATCH = 500;

/**
 * Deletes runs that ended more than `days` ago, with their activities and their history. The latest run of each name and
 * organization stays, and so does a failed one that nobody has dealt with. Returns how many.
 */
export async function purgeWorkflows(db: Database, days: number, signal?: AbortSignal): Promise<number> {
  for (let purged = 0; ; ) {
    const { rows } = await sql`
      delete from tds_workflows where id in (
        select id from tds_workflows w
        where status in ('completed', 'terminated') and lease is null
          and updated_at < clock_timestamp() - make_interval(days => ${days})
          and exists (select from tds_workflows later where later.name = w.name
            and later.organization_id = w.organization_id and later.created_at > w.created_at)
        limit ${BATCH})
      returning id`.execute(db);
    purged += rows.length;
    if (rows.length < BATCH || signal?.aborted) return purged;
  }
}
