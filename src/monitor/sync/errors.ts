/** What went wrong and is not yet right: pulls that failed, events that wait for their next attempt or are dead. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { duration } from '../alerts/rule.ts';
import { shortError } from '../page.ts';
import { RUNS, SERVICE, type SyncType } from './events.ts';

type Row = {
  id: string;
  kind: 'run' | 'event';
  organization_id: string;
  name: string;
  sync_type: SyncType;
  error_type: string;
  error_message: string;
  error_details: unknown;
  retry_count: number;
  next_retry_at: Date | null;
  created_at: Date;
  resolved_at: Date | null;
};

// Resolved: by an operator since it failed, by the run itself that was retried and has ended, or by the next run of the
// same name and organization that succeeded. A run that was retried and is under way is not yet right.
const RESOLVED_AT = sql`least(
  (select resolved_at from tds_sync_resolutions s where s.workflow_id = r.id and s.resolved_at >= r.failed_at),
  case when run_status in ('completed', 'terminated') then updated_at end,
  (select later.updated_at from tds_workflows later where later.name = r.name
    and later.organization_id = r.organization_id and later.created_at > r.started_at and later.status = 'completed'
    order by later.created_at limit 1))`;
// An activity that waits for its next attempt is an error of its run, before the run fails for it.
const FAILED_RUNS = sql`(
  select r.*, case when waits then null else ${RESOLVED_AT} end as resolved_at from (
    select r.*, a.workflow_id is not null as waits, a.next_attempt_at, coalesce(a.started_at,
        case when run_status = 'failed' then r.completed_at else last_failed_at end) as failed_at,
      case when a.workflow_id is not null then a.error || jsonb_build_object('activity', a.name, 'attempt', a.attempt + 1)
        else last_failure end as failure
    from (select * from ${RUNS} r where last_failed_at is not null or run_status = 'running') r
    left join lateral (
      select * from tds_workflow_activities a where r.run_status = 'running' and a.workflow_id = r.id and a.status = 'retry'
      order by position desc limit 1) a on true
    where last_failed_at is not null or a.workflow_id is not null) r)`;

/** GET /dashboard/sync/errors: the latest first. */
export async function syncErrors(
  db: Database,
  { limit, includeResolved }: { limit: number; includeResolved: boolean },
) {
  const [runs, events, unresolved] = await Promise.all([
    failedRuns(db, limit, includeResolved),
    failedEvents(db, limit, includeResolved),
    countUnresolved(db),
  ]);
  const now = Date.now();
  const errors = [...runs, ...events]
    .toSorted((a, b) => b.created_at.getTime() - a.created_at.getTime())
    .slice(0, limit)
    .map((error) => ({ ...error, service: SERVICE, ...timesOf(error, now) }));
  return { total: errors.length, unresolved, by_type: byType(errors), errors };
}

function timesOf({ created_at, next_retry_at }: Row, now: number) {
  const seconds = (ms: number) => duration(Math.max(0, ms) / 1000);
  return {
    time_ago: `${seconds(now - created_at.getTime())} ago`,
    next_retry_in: next_retry_at === null ? null : seconds(next_retry_at.getTime() - now),
  };
}

function byType(errors: Row[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { error_type } of errors) counts[error_type] = (counts[error_type] ?? 0) + 1;
  return counts;
}

/** How many are unresolved altogether: runs, events in retry, open dead letters. */
export async function countUnresolved(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select ((select count(*) from ${FAILED_RUNS} r where resolved_at is null)
      + (select coalesce(sum(retry + dead_letter), 0) from tds_queue_counts))::float8 as n`.execute(db);
  return rows[0]?.n ?? 0;
}

const DETAILS = sql`jsonb_build_object('activity', failure -> 'activity', 'stack', failure -> 'stack',
  'response_status', jsonb_path_query_first(failure, '$.cause[*].status'), 'causes', failure -> 'cause')`;

async function failedRuns(db: Database, limit: number, includeResolved: boolean): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select r.id, 'run' as kind, organization_id, r.name, sync_type, coalesce(failure ->> 'tag', 'UnknownError') as error_type,
      coalesce(failure ->> 'message', '') as error_message, ${DETAILS} as error_details,
      coalesce((failure ->> 'attempt')::int - 1, 0) as retry_count, next_attempt_at as next_retry_at,
      failed_at as created_at, resolved_at
    from (select * from ${FAILED_RUNS} r where ${includeResolved}::boolean or resolved_at is null
      order by failed_at desc, id desc limit ${limit}) r
    order by created_at desc`.execute(db);
  return rows;
}

async function failedEvents(db: Database, limit: number, includeResolved: boolean): Promise<Row[]> {
  const dead = includeResolved ? sql`true` : sql`resolved_at is null`;
  const { rows } = await sql<Row>`
    with failing as (
      (select q.id, coalesce(q.started_at, q.queued_at) as at, q.run_at as next_retry_at, null::timestamptz as resolved_at,
         q.organization_id, q.event_type, q.error_tag, q.attempt_count, q.error_message
       from (select id from tds_queue_waiting where status = 'retry' order by arrival desc limit ${limit}) w
         cross join lateral (select * from tds_sync_queue where id = w.id offset 0) q)
      union all
      (select id, moved_to_dlq_at, null, resolved_at, organization_id, event_type, error_tag, attempt_count, last_error
       from tds_dead_letter_queue where ${dead} order by moved_to_dlq_at desc, id desc limit ${limit}))
    select e.id, 'event' as kind, e.organization_id, event_type as name, 'webhook' as sync_type,
      coalesce(e.error_tag, 'UnknownError') as error_type, coalesce(${shortError('e.error_message')}, '') as error_message,
      f.details as error_details, greatest(attempt_count - case when next_retry_at is null then 1 else 0 end, 0) as retry_count,
      next_retry_at, at as created_at, resolved_at
    from (select * from failing order by at desc limit ${limit}) e left join lateral (
      select jsonb_build_object('handler', handler, 'response_status', http_status, 'stack', stack, 'causes', causes) as details
      from tds_failures f where f.event_id = e.id order by created_at desc limit 1) f on true`.execute(db);
  return rows;
}

export type ResolveResult = { outcome: 'resolved' | 'already' | 'an_event' | 'not_found' };

/** Says that a failed run is dealt with. Give it a transaction. What became of an event is decided at its dead letter. */
export async function resolveSyncError(trx: Database, id: string, by: string): Promise<ResolveResult> {
  const { rows } = await sql<{ run_status: string; resolved_at: Date | null }>`
    select run_status, (select resolved_at from ${FAILED_RUNS} f where f.id = r.id) as resolved_at
    from ${RUNS} r where id = ${id}`.execute(trx);
  const [run] = rows;
  if (run?.run_status === 'failed') {
    if (run.resolved_at !== null) return { outcome: 'already' };
    await sql`
      insert into tds_sync_resolutions (workflow_id, resolved_by) values (${id}, ${by})
      on conflict (workflow_id) do update set resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by`.execute(
      trx,
    );
    return { outcome: 'resolved' };
  }
  if (run) return { outcome: 'already' };
  const event = await trx.selectFrom('tds_sync_queue').select('id').where('id', '=', id).executeTakeFirst();
  return { outcome: event ? 'an_event' : 'not_found' };
}
