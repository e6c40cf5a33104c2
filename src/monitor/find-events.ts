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

/** One page looks through so many events: 30 ms when none matches (measured). No index knows entity ids. */
export const EVENTS_PER_PAGE = 50_000;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

type Asked = { limit: number; statuses?: readonly string[] | undefined; after?: Position | undefined };
type Found = { events: FoundEvent[]; next: Position | undefined };

/**
 * Events whose id is `text` or whose entity id contains it, newest first. A page may be short or even empty and still
 * have a `next`: it ends after EVENTS_PER_PAGE events, so that a search through millions cannot occupy the database.
 * @param asked.statuses all when left out
 * @param asked.after the `next` of the page before
 */
export async function findEvents(db: Database, { text, ...asked }: Asked & { text: string }): Promise<Found> {
  return UUID.test(text) ? findById(db, text, asked) : findByEntity(db, text, asked);
}

const COLUMNS =
  sql.raw(`q.id, q.event_type, q.entity_id, q.status, q.attempt_count, q.priority, q.queued_at, q.requeued_at,
  q.started_at, q.completed_at, q.error_message, q.error_tag, q.outcome, q.id as event_id, q.organization_id`);

async function findById(db: Database, id: string, { statuses }: Asked): Promise<Found> {
  const { rows } = await sql<FoundEvent>`
    select ${COLUMNS} from tds_sync_queue q where id = ${id} ${ofStatus(statuses)}`.execute(db);
  return { events: rows, next: undefined };
}

async function findByEntity(db: Database, text: string, { limit, statuses, after }: Asked): Promise<Found> {
  const older = after ? sql`where (queued_at, id) < (${after.at}::timestamptz, ${after.id}::uuid)` : sql``;
  // One pass, of which only what matches is kept, and the last event of the page: the next page begins behind it.
  const { rows } = await sql<FoundEvent & { at: string; matches: boolean; is_end: boolean }>`
    with kept as (
      select id, matches, n = ${EVENTS_PER_PAGE} as is_end from (
        select id, queued_at, coalesce(strpos(entity_id, ${text}) > 0, false) ${ofStatus(statuses)} as matches,
          row_number() over (order by queued_at desc, id desc) as n
        from tds_sync_queue ${older} order by queued_at desc, id desc limit ${EVENTS_PER_PAGE}) page
      where matches or n = ${EVENTS_PER_PAGE} order by queued_at desc, id desc limit ${limit} + 1)
    select ${COLUMNS}, q.queued_at::text as at, matches, is_end from kept join tds_sync_queue q using (id)
    order by q.queued_at desc, q.id desc`.execute(db);
  const found = rows.filter(({ matches }) => matches).slice(0, limit);
  const end = found.length === limit ? found.at(-1) : rows.find(({ is_end }) => is_end);
  const events = found.map(({ at: _at, matches: _matches, is_end: _isEnd, ...event }) => event);
  return { events, next: end && { at: end.at, id: end.id } };
}

function ofStatus(statuses: Asked['statuses']): RawBuilder<unknown> {
  return statuses ? sql`and status = any(${statuses})` : sql``;
}
