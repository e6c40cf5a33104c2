import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

const BATCH = 1000;

/**
 * Deletes what pulls and holes were found more than `days` ago, and the pages of runs that will never go on; of hours older
 * than that only the sum stays. Marks, verdicts and what is remembered of rows stay. In batches, until `signal`. Returns how many rows.
 */
export async function purgePulls(db: Database, days: number, signal?: AbortSignal): Promise<number> {
  let purged = 0;
  for (const step of [oldChanges(days), oldHoles(days), oldHours(days), oldRefetches(days), ABANDONED_PAGES]) {
    for (let rows = BATCH; rows === BATCH && !signal?.aborted; purged += rows)
      rows = Number((await step.execute(db)).numAffectedRows ?? 0);
  }
  return purged;
}

/** Deletes what has been judged, unless its run may still ask for it. In batches, until `signal`. Returns how many rows. */
export async function purgeJudged(db: Database, signal?: AbortSignal): Promise<number> {
  let purged = 0;
  for (let rows = BATCH; rows === BATCH && !signal?.aborted; purged += rows)
    rows = Number((await JUDGED.execute(db)).numAffectedRows ?? 0);
  return purged;
}

const JUDGED = sql`
  delete from tds_pulled_changes where event_id in (
    select event_id from tds_pulled_changes c where judged_at is not null and not exists (
      select from tds_workflows w where w.id = c.run_id and w.status in ('running', 'paused', 'failed'))
    limit ${BATCH} for update skip locked)`;

const oldChanges = (days: number) => sql`
  delete from tds_pulled_changes where event_id in (
    select event_id from tds_pulled_changes where found_at < now() - make_interval(days => ${days})
    order by found_at limit ${BATCH})`;

const oldHoles = (days: number) => sql`
  delete from tds_holes where event_id in (
    select event_id from tds_holes where found_at < now() - make_interval(days => ${days})
    order by found_at limit ${BATCH})`;

/** What nobody fetches (its organization is not connected) goes as well. */
const oldRefetches = (days: number) => sql`
  delete from tds_refetches where ctid = any (array(
    select ctid from tds_refetches where coalesce(done_at, wanted_at) < now() - make_interval(days => ${days})
    limit ${BATCH} for update skip locked))`;

/** Moved into one row that says since when, and when last, webhooks came; the rhythm needs four weeks. */
const oldHours = (days: number) => sql`
  with old as (
    delete from tds_change_totals where ctid = any (array(
      select ctid from tds_change_totals
      where bucket > '-infinity' and bucket < now() - make_interval(days => greatest(${days}::int, 29))
      limit ${BATCH} for update skip locked))
    returning *)
  insert into tds_change_totals
  select organization_id, module, '-infinity', webhooks, pulled, first_webhook_version, last_webhook_at, last_change_at
  from old`;

const ABANDONED_PAGES = sql`
  delete from tds_pull_pages where (run_id, module, page) in (
    select run_id, module, page from tds_pull_pages p where not exists (
      select from tds_workflows w where w.id = p.run_id and w.status in ('running', 'paused', 'failed'))
    limit ${BATCH})`;
