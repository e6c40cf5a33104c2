import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

const BATCH = 1000;

/**
 * Deletes what pulls found more than `days` ago, and the pages of runs that will never go on. Marks, verdicts and what
 * is remembered of rows stay. In batches, until `signal`. Returns how many rows.
 */
export async function purgePulls(db: Database, days: number, signal?: AbortSignal): Promise<number> {
  let purged = 0;
  for (const step of [oldChanges(days), ABANDONED_PAGES]) {
    for (let rows = BATCH; rows === BATCH && !signal?.aborted; purged += rows)
      rows = Number((await step.execute(db)).numAffectedRows ?? 0);
  }
  return purged;
}

const oldChanges = (days: number) => sql`
  delete from tds_pulled_changes where event_id in (
    select event_id from tds_pulled_changes where found_at < now() - make_interval(days => ${days})
    order by found_at limit ${BATCH})`;

const ABANDONED_PAGES = sql`
  delete from tds_pull_pages where (run_id, module, page) in (
    select run_id, module, page from tds_pull_pages p where not exists (
      select from tds_workflows w where w.id = p.run_id and w.status in ('running', 'paused', 'failed'))
    limit ${BATCH})`;
