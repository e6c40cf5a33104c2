import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** A place in the list of events, newest first; `at` is `queued_at` as text, to the microsecond. */
type Position = { at: string; id: string };

export type FoundEvent = {
  id: string;
  event_type: string;
  entity_id: string | null;
  status: string;
  attempt_count: number;
  priority: number;
  queued_at: Date;
  requeued_at: Date | null;
  started_at: Date | null;
  completed_at: Date | null;
  error_message: string | null;
  error_tag: string | null;
  outcome: string | null;
  event_id: string;
  organization_id: string;
};

/** One page looks through so many events: 45 ms when none matches (measured). No index knows entity ids. */
export const EVENTS_PER_PAGE = 100_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/**
 * Events whose id is `text` or whose entity id contains it, newest first. A page may be short or even empty and still
 * have a `next`: it ends after EVENTS_PER_PAGE events, so that a search through millions cannot occupy the database.
 * @param options.statuses all when left out
 * @param options.after the `next` of the page before
 */
export async function findEvents(
  db: Database,
  options: { text: string; limit: number; statuses?: readonly string[] | undefined; after?: Position | undefined },
): Promise<{ events: FoundEvent[]; next: Position | undefined }> {
  const { text, limit, statuses, after } = options;
  const isId = UUID.test(text);
  const match = isId ? sql`id = ${text}` : sql`strpos(entity_id, ${text}) > 0`;
  const status = statuses ? sql`and status = any(${statuses})` : sql``;
  const { rows } = await sql<FoundEvent & { at: string }>`
    select id, event_type, entity_id, status, attempt_count, priority, queued_at, requeued_at, started_at,
      completed_at, error_message, error_tag, outcome, id as event_id, organization_id, queued_at::text as at
    from ${isId ? sql`tds_sync_queue` : sql`(${newest(after)} limit ${EVENTS_PER_PAGE}) q`}
    where ${match} ${status} order by queued_at desc, id desc limit ${limit}`.execute(db);
  const events = rows.map(({ at: _at, ...event }) => event);
  const last = rows.at(-1);
  if (isId) return { events, next: undefined };
  return { events, next: last && rows.length === limit ? { at: last.at, id: last.id } : await endOfPage(db, after) };
}

function newest(after: Position | undefined): RawBuilder<unknown> {
  const older = after ? sql`where (queued_at, id) < (${after.at}::timestamptz, ${after.id}::uuid)` : sql``;
  return sql`select * from tds_sync_queue ${older} order by queued_at desc, id desc`;
}

/** Where the next page begins; undefined when there are no more events than this page looked at. */
async function endOfPage(db: Database, after: Position | undefined): Promise<Position | undefined> {
  const { rows } = await sql<Position>`
    select queued_at::text as at, id from (${newest(after)} offset ${EVENTS_PER_PAGE - 1} limit 1) last`.execute(db);
  return rows[0];
}
