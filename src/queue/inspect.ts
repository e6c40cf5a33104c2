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

const REQUEUED_LOOKED_AT = 1000;

// Looked up one by one: a join of a long backlog would be sorted before the first of it is taken.
const EVENT = sql`(select queued_at, requeued_at from tds_sync_queue where id = w.id offset 0)`;

/**
 * Seconds that the oldest event in `pending` has been waiting, whatever it waits for; 0 when there is none. What an
 * operator set back to wait has been waiting since then; of such ones the latest 1,000 are looked at.
 */
export async function oldestPendingAgeSeconds(db: Kysely<Schema>): Promise<number> {
  // Of the others that are due, the lowest arrival of each priority is enough: within one, order of arrival is order of age.
  const { rows } = await sql<{ age: number }>`
    with recursive priorities as (
      (select priority from tds_queue_waiting where due and status = 'pending' order by priority limit 1)
      union all
      select next.* from priorities p cross join lateral (
        select priority from tds_queue_waiting where due and status = 'pending' and priority > p.priority
        order by priority limit 1) next),
    oldest as (
      select first.since from priorities p cross join lateral (
        select q.queued_at as since from tds_queue_waiting w cross join lateral ${EVENT} q
        where w.due and w.status = 'pending' and w.priority = p.priority and q.requeued_at is null
        order by w.arrival limit 1) first
      union all
      (select q.queued_at from tds_queue_waiting w cross join lateral ${EVENT} q
       where not w.due and w.status = 'pending' and q.requeued_at is null order by w.arrival limit 1)
      union all
      (select requeued_at from (
         select requeued_at, status from tds_sync_queue where requeued_at is not null
         order by requeued_at desc, id desc limit ${REQUEUED_LOOKED_AT}) latest
       where status = 'pending' order by requeued_at limit 1))
    select coalesce(extract(epoch from statement_timestamp() - min(since)), 0)::float8 as age from oldest`.execute(db);
  return Math.max(0, rows[0]?.age ?? 0);
}
