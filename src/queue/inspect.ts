import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Status } from './vocabulary.ts';

export type QueueStats = Record<Status, number> & { total: number };

/** Live counts by status: exact, and as cheap with 5 million rows as with none. */
export async function queueStats(db: Kysely<Schema>): Promise<QueueStats> {
  const { rows } = await sql<Record<Status, number>>`
    select coalesce(sum(pending), 0)::float8 as pending, coalesce(sum(processing), 0)::float8 as processing,
      coalesce(sum(retry), 0)::float8 as retry, coalesce(sum(completed), 0)::float8 as completed,
      coalesce(sum(dead_letter), 0)::float8 as dead_letter
    from tds_queue_counts`.execute(db);
  const counts = rows[0] ?? { pending: 0, processing: 0, retry: 0, completed: 0, dead_letter: 0 };
  return { ...counts, total: Object.values(counts).reduce((sum, count) => sum + count, 0) };
}

/** Seconds that the oldest event in `pending` has been waiting, whatever it waits for; 0 when there is none. */
export async function oldestPendingAgeSeconds(db: Kysely<Schema>): Promise<number> {
  // Of the due ones, the lowest arrival of each priority is enough: within one, order of arrival is order of age.
  const { rows } = await sql<{ age: number }>`
    with recursive priorities as (
      (select priority, arrival, id from tds_queue_waiting where due and status = 'pending'
       order by priority, arrival limit 1)
      union all
      select next.* from priorities p cross join lateral (
        select priority, arrival, id from tds_queue_waiting where due and status = 'pending' and priority > p.priority
        order by priority, arrival limit 1) next),
    oldest as (
      select id from priorities union all
      (select id from tds_queue_waiting where not due and status = 'pending' order by arrival limit 1))
    select coalesce(extract(epoch from statement_timestamp() - min(q.queued_at)), 0)::float8 as age
    from oldest o join tds_sync_queue q on q.id = o.id`.execute(db);
  return Math.max(0, rows[0]?.age ?? 0);
}
