import type { Pool } from 'pg';

export type PurgeResult = { events: number; inbox: number; logs: number };

const BATCH = 1000;

/**
 * Deletes completed events older than `days`, with their log rows, payloads and inbox rows, 1,000 at a time so that
 * nothing waits for it and a crash loses nothing but the rest. What is unfinished or dead stays, whatever its age.
 * Inbox rows stay for 30 days at least: their dedupe keys are the only wall against an old delivery sent again.
 */
export async function purge(pool: Pool, days: number, signal?: AbortSignal): Promise<PurgeResult> {
  const result = { events: 0, inbox: 0, logs: 0 };
  for (let done = false; !done && !signal?.aborted; ) {
    const { rows } = await pool.query<{ events: number; logs: number }>(PURGE_EVENTS, [days, BATCH]);
    result.events += rows[0]?.events ?? 0;
    result.logs += rows[0]?.logs ?? 0;
    done = (rows[0]?.events ?? 0) < BATCH;
  }
  for (let done = false; !done && !signal?.aborted; ) {
    const { rowCount } = await pool.query(PURGE_INBOX, [Math.max(days, 30), BATCH]);
    result.inbox += rowCount ?? 0;
    done = (rowCount ?? 0) < BATCH;
  }
  return result;
}

// By queued_at, the only index by time: an event is never completed before it was queued.
const PURGE_EVENTS = `
with old as (
  delete from tds_sync_queue where id = any (array(
    select id from tds_sync_queue
    where queued_at < now() - $1 * interval '1 day' and status = 'completed'
      and completed_at < now() - $1 * interval '1 day'
    order by queued_at limit $2 for update skip locked))
  returning id),
payloads as (
  delete from tds_inbox_payloads where event_id = any (array(select id from old))),
logs as (
  delete from tds_sync_logs where queue_id = any (array(select id from old)) returning 1)
select (select count(*)::int from old) as events, (select count(*)::int from logs) as logs`;

const PURGE_INBOX = `
delete from tds_inbox_events where event_id = any (array(
  select event_id from tds_inbox_events i
  where processed and processed_at < now() - $1 * interval '1 day'
    and not exists (select from tds_sync_queue q where q.id = i.event_id)
  limit $2 for update skip locked))`;
