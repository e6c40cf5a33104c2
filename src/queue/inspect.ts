import { type Kysely, type RawBuilder, sql } from 'kysely';
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

export type RecentEvent = {
  id: string;
  event_type: string;
  entity_id: string | null;
  status: Status;
  attempt_count: number;
  priority: number;
  queued_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  error_message: string | null;
  error_tag: string | null;
  outcome: string | null;
  event_id: string;
  organization_id: string;
  /** `queued_at` to the microsecond: a Date drops three digits, and with them rows between two pages. */
  queued_at_exactly: string;
};

export type Cursor = { at: string; id: string };
export type StatusFilter = Status | 'failed';

/**
 * Events, newest first by `queued_at`.
 * @param options.status one status, or 'failed' (the last attempt failed: retry or dead_letter)
 * @param options.cursor the last row of the page before
 */
export async function recentEvents(
  db: Kysely<Schema>,
  options: { limit: number; status?: StatusFilter | undefined; cursor?: Cursor | undefined },
): Promise<RecentEvent[]> {
  const { limit, status, cursor } = options;
  let query = db
    .selectFrom('tds_sync_queue as q')
    .select(['q.id', 'q.event_type', 'q.entity_id', 'q.status', 'q.attempt_count', 'q.priority', 'q.queued_at'])
    .select(['q.started_at', 'q.completed_at', 'q.error_message', 'q.error_tag', 'q.outcome'])
    .select(['q.id as event_id', 'q.organization_id', sql<string>`q.queued_at::text`.as('queued_at_exactly')])
    .orderBy('q.queued_at', 'desc')
    .orderBy('q.id', 'desc')
    .limit(limit);
  if (cursor) query = query.where(sql<boolean>`(q.queued_at, q.id) < (${cursor.at}::timestamptz, ${cursor.id}::uuid)`);
  if (status) query = query.where('q.status', 'in', status === 'failed' ? ['retry', 'dead_letter'] : [status]);
  const few = status && candidates(status);
  if (few) query = query.where(sql<boolean>`q.id in (${few})`);
  return query.execute();
}

/** Where the ids of a rare status stand: without it, a page of rare ones would scan millions of completed rows. */
function candidates(status: StatusFilter): RawBuilder<unknown> | undefined {
  const dead = sql`select id from tds_dead_letter_queue where resolved_at is null`;
  const waiting = sql`select id from tds_queue_waiting`;
  switch (status) {
    case 'pending':
    case 'retry':
      return waiting;
    case 'processing':
      return sql`select unnest(ids) from tds_queue_leases`;
    case 'dead_letter':
      return dead;
    case 'failed':
      return sql`${waiting} union all ${dead}`;
    case 'completed':
      return undefined;
  }
}

/** A page of 200 bodies of a megabyte would take a gigabyte of the API's memory: it ends earlier. */
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/**
 * Open dead letters, latest first, as the text of a JSON array, and where the next page begins, if there may be one.
 * PostgreSQL writes the text, because JavaScript would lose digits of ids and money in `payload`. Quarantined ones have
 * no payload but `raw_body`.
 */
export async function listDeadLetters(
  db: Kysely<Schema>,
  options: { limit: number; cursor?: Cursor | undefined },
): Promise<{ json: string; count: number; next: Cursor | undefined }> {
  const { limit, cursor } = options;
  const after = cursor ? sql`and (moved_to_dlq_at, id) < (${cursor.at}::timestamptz, ${cursor.id}::uuid)` : sql``;
  const { rows } = await sql<{ row: string; at: string; id: string; found: number }>`
    with latest as (
      select * from tds_dead_letter_queue where resolved_at is null ${after}
      order by moved_to_dlq_at desc, id desc limit ${limit}),
    measured as (
      select *, count(*) over ()::int as found,
        sum(coalesce(octet_length(payload::text), 0) + coalesce(octet_length(raw_body), 0))
          over (order by moved_to_dlq_at desc, id desc rows between unbounded preceding and 1 preceding) as bytes_before
      from latest)
    select json_build_object('id', id, 'original_queue_id', original_queue_id, 'event_type', event_type,
        'entity_id', entity_id, 'payload', payload, 'attempt_count', attempt_count, 'last_error', last_error,
        'moved_to_dlq_at', ${rfc3339('moved_to_dlq_at')}, 'retry_count', retry_count,
        'last_retry_at', ${rfc3339('last_retry_at')}, 'error_tag', error_tag, 'kind', kind,
        'organization_id', organization_id, 'event_id', id,
        'raw_body_base64', translate(encode(raw_body, 'base64'), E'\n', ''))::text as row,
      moved_to_dlq_at::text as at, id, found
    from measured where coalesce(bytes_before, 0) < ${MAX_PAGE_BYTES}
    order by moved_to_dlq_at desc, id desc`.execute(db);
  const last = rows.at(-1);
  const isAll = rows.length < limit && rows.length === (last?.found ?? 0);
  return {
    json: `[${rows.map((row) => row.row).join(',')}]`,
    count: rows.length,
    next: last && !isAll ? { at: last.at, id: last.id } : undefined,
  };
}

const rfc3339 = (column: string) =>
  sql`to_char(${sql.ref(column)} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
