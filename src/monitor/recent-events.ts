import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Status } from '../queue/vocabulary.ts';
import { isAmongNewest } from './newest.ts';
import { isBehind, type Position, shortError } from './page.ts';

/** One status, or 'failed': the last attempt failed (retry or dead_letter). */
export type StatusFilter = Status | 'failed';

type Asked = { limit: number; status?: StatusFilter | undefined; after?: Position | undefined };

export type PageOfEvents = { events: Awaited<ReturnType<typeof select>>; next: Position | undefined };

/**
 * A page of events, and where the next one begins, if there is one. The newest come first: by when they were queued, or
 * set back to wait, so that whoever retries an old event finds it at the top.
 * @param options.after where the page before ended
 */
export async function recentEvents(db: Database, options: Asked): Promise<PageOfEvents> {
  // One more than asked for tells whether another page follows.
  const rows = await select(db, { ...options, limit: options.limit + 1 });
  const events = rows.slice(0, options.limit);
  const last = rows.length > options.limit ? events.at(-1) : undefined;
  return { events, next: last && { at: last.at, id: last.id } };
}

// To the microsecond: a Date drops three digits, and with them rows between two pages.
const AT = sql<string>`coalesce(q.requeued_at, q.queued_at)::text`;

function select(db: Database, asked: Asked) {
  return db
    .selectFrom('tds_sync_queue as q')
    .select(['q.id', 'q.event_type', 'q.entity_id', 'q.status', 'q.attempt_count', 'q.priority', 'q.queued_at'])
    .select(['q.requeued_at', 'q.started_at', 'q.completed_at', 'q.error_tag', 'q.outcome', 'q.id as event_id'])
    .select(['q.organization_id', shortError('q.error_message').as('error_message'), AT.as('at')])
    .where(sql<boolean>`q.id = any (array(${neverRequeued(asked)} union all ${requeued(asked)}))`)
    .orderBy(sql`coalesce(q.requeued_at, q.queued_at)`, 'desc')
    .orderBy('q.id', 'desc')
    .limit(asked.limit)
    .execute();
}

// Two indexes give the order, one for each kind: so neither list costs more than its own page.
function neverRequeued({ limit, status, after }: Asked): RawBuilder<unknown> {
  const place = after ? isBehind(after, 'q.queued_at', 'q.id') : sql`true`;
  const wanted = status
    ? isAmongNewest({ statuses: statusesOf(status), limit, after, neverRequeued: true })
    : sql`q.requeued_at is null and ${place}`;
  return sql`(
    select q.id from tds_sync_queue q where ${wanted} order by q.queued_at desc, q.id desc limit ${limit})`;
}

function requeued({ limit, status, after }: Asked): RawBuilder<unknown> {
  const place = after ? isBehind(after, 'q.requeued_at', 'q.id') : sql`true`;
  const ofStatus = status ? sql`q.status = any (${statusesOf(status)})` : sql`true`;
  return sql`(
    select q.id from tds_sync_queue q where q.requeued_at is not null and ${ofStatus} and ${place}
    order by q.requeued_at desc, q.id desc limit ${limit})`;
}

function statusesOf(status: StatusFilter): Status[] {
  return status === 'failed' ? ['retry', 'dead_letter'] : [status];
}
