/** The newest events of some statuses, found where the few of a rare status stand, however many others there are. */
import { type RawBuilder, sql } from 'kysely';
import type { Status } from '../queue/vocabulary.ts';
import { isBehind, type Position } from './page.ts';

const SEARCHED = 5000;

export type NewestAsked = {
  statuses: Status[];
  limit: number;
  after?: Position | undefined;
  /** Only events that a webhook brought. */
  webhooks?: boolean;
  /** Only events that nobody has set back to wait. */
  neverRequeued?: boolean;
  /** Events, the newest first, that are searched for those that wait before all that wait are looked up; default 5,000. */
  searched?: number;
};

/**
 * True for the rows of tds_sync_queue `q` that are the newest by `queued_at` in these statuses, `limit` of each status
 * at least: sort and limit what remains. Completed events are found by walking the table from its end.
 */
export function isAmongNewest(asked: NewestAsked): RawBuilder<boolean> {
  const { statuses } = asked;
  const waiting = statuses.filter((status) => status === 'pending' || status === 'retry');
  const parts = [
    statuses.includes('dead_letter') && dead(asked),
    statuses.includes('processing') && sql`select unnest(ids) from tds_queue_leases`,
    waiting.length > 0 && newestWaiting(waiting, asked),
  ].filter((part) => part !== false);
  const ofStatus = sql<boolean>`q.status = any (${statuses}) and ${isWanted(asked, 'q')}`;
  return statuses.includes('completed')
    ? ofStatus
    : sql<boolean>`${ofStatus} and q.id = any (array(${sql.join(parts, sql` union all `)}))`;
}

function isWanted({ after, webhooks, neverRequeued }: NewestAsked, table: 'q' | 'd'): RawBuilder<boolean> {
  const id = sql.ref(`${table}.id`);
  const conditions = [
    after && isBehind(after, `${table}.queued_at`, `${table}.id`),
    webhooks && sql`exists (select from tds_inbox_events i where i.event_id = ${id} and i.came_by is null offset 0)`,
    neverRequeued && (table === 'q' ? sql`q.requeued_at is null` : isNeverRequeued),
  ].filter((condition) => condition !== undefined && condition !== false);
  return sql`${sql.join([sql`true`, ...conditions], sql` and `)}`;
}

// Asked row by row: a join would begin with all that was never set back.
const isNeverRequeued = sql`exists (
  select from tds_sync_queue e where e.id = d.id and e.requeued_at is null offset 0)`;

function dead(asked: NewestAsked): RawBuilder<unknown> {
  return sql`(select d.id from tds_dead_letter_queue d where d.resolved_at is null and ${isWanted(asked, 'd')}
    order by d.queued_at desc, d.id desc limit ${asked.limit})`;
}

// What waits is mostly among the newest. Otherwise little waits, or a backlog that is older than what was done since.
function newestWaiting(statuses: Status[], asked: NewestAsked): RawBuilder<unknown> {
  const { after, limit, searched = SEARCHED } = asked;
  const place = after ? isBehind(after, 'queued_at', 'id') : sql`true`;
  return sql`(
    with recent as materialized (
      select q.id from (
        select id, queued_at, requeued_at, status from tds_sync_queue where ${place}
        order by queued_at desc, id desc limit ${searched}) q
      where q.status = any (${statuses}) and ${isWanted(asked, 'q')} limit ${limit})
    select id from recent where (select count(*) from recent) = ${limit}
    union all
    (select q.id from tds_queue_waiting w
       cross join lateral (select id, queued_at, requeued_at from tds_sync_queue where id = w.id offset 0) q
     where (select count(*) from recent) < ${limit} and w.status = any (${statuses}) and ${isWanted(asked, 'q')}
     order by q.queued_at desc, q.id desc limit ${limit}))`;
}
