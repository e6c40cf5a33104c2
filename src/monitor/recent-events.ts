import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Status } from '../queue/vocabulary.ts';
import { isAmongNewest } from './newest.ts';
import { isBehind, type Position, shortError } from './page.ts';

/** One status, or 'failed': the last attempt failed (retry or dead_letter). */
export type StatusFilter = Status | 'failed';

export type PageOfEvents = { events: Awaited<ReturnType<typeof select>>; next: Position | undefined };

/**
 * A page of events, newest first by `queued_at`, and where the next one begins, if there is one.
 * @param options.after where the page before ended
 */
export async function recentEvents(
  db: Database,
  options: { limit: number; status?: StatusFilter | undefined; after?: Position | undefined },
): Promise<PageOfEvents> {
  // One more than asked for tells whether another page follows.
  const rows = await select(db, { ...options, limit: options.limit + 1 });
  const events = rows.slice(0, options.limit);
  const last = rows.length > options.limit ? events.at(-1) : undefined;
  return { events, next: last && { at: last.queued_at_exactly, id: last.id } };
}

async function select(
  db: Database,
  { limit, status, after }: { limit: number; status?: StatusFilter | undefined; after?: Position | undefined },
) {
  const query = db
    .selectFrom('tds_sync_queue as q')
    .select(['q.id', 'q.event_type', 'q.entity_id', 'q.status', 'q.attempt_count', 'q.priority', 'q.queued_at'])
    .select(['q.started_at', 'q.completed_at', 'q.error_tag', 'q.outcome', 'q.id as event_id', 'q.organization_id'])
    .select(shortError('q.error_message').as('error_message'))
    // To the microsecond: a Date drops three digits, and with them rows between two pages.
    .select(sql<string>`q.queued_at::text`.as('queued_at_exactly'))
    .orderBy('q.queued_at', 'desc')
    .orderBy('q.id', 'desc')
    .limit(limit);
  if (!status) return (after ? query.where(isBehind(after, 'q.queued_at', 'q.id')) : query).execute();
  const statuses: Status[] = status === 'failed' ? ['retry', 'dead_letter'] : [status];
  return query.where(isAmongNewest({ statuses, limit, after })).execute();
}
