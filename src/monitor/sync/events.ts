/** Everything that keeps the mirror in step, as one kind of row: runs of pulls, and webhooks on their way through the queue. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Status } from '../../queue/vocabulary.ts';
import { isAmongNewest } from '../newest.ts';
import { shortError } from '../page.ts';

export const SYNC_TYPES = ['full', 'incremental', 'reconcile', 'webhook'] as const;
export type SyncType = (typeof SYNC_TYPES)[number];
export const SYNC_STATUSES = ['started', 'success', 'failed'] as const;
export type SyncStatus = (typeof SYNC_STATUSES)[number];
export const SERVICE = 'zoho_books';

type Row = {
  id: string;
  organization_id: string;
  name: string;
  sync_type: SyncType;
  status: SyncStatus;
  started_at: Date;
  completed_at: Date | null;
  duration_ms: number | null;
  items_processed: number;
  error_message: string | null;
  error_code: string | null;
  sync_token_before: string | null;
  sync_token_after: string | null;
};

export type SyncEvent = Row & {
  service: typeof SERVICE;
  /** '1234ms', or 'N/A' while it lasts. */
  duration: string;
  items_per_second: string;
};

export type EventsAsked = { limit: number; status?: SyncStatus | undefined; type?: SyncType | undefined };

/** Runs of pulls as sync events, in a FROM clause. A run that was terminated has not succeeded, so it has failed. */
export const RUNS = sql`(
  select id, organization_id, name, created_at as started_at, progress, result, status as run_status, updated_at,
    last_failed_at, last_failure,
    case when name like 'SyncAll%' then 'full' when name like 'SyncChanged%' then 'incremental' else 'reconcile' end as sync_type,
    case status when 'completed' then 'success' when 'running' then 'started' when 'paused' then 'started'
      else 'failed' end as status,
    case when status not in ('running', 'paused') then updated_at end as completed_at
  from tds_workflows where name like 'SyncAll%' or name like 'SyncChanged%' or name like 'Reconcile%')`;
/** True for a row of RUNS that has ended at this time or later, in words that the index of ended runs answers. */
export function endedSince(time: RawBuilder<unknown>): RawBuilder<boolean> {
  return sql`run_status in ('completed', 'failed', 'terminated') and updated_at >= ${time}`;
}

/** The latest sync events by the time at which they began. */
export async function recentSyncEvents(db: Database, asked: EventsAsked): Promise<SyncEvent[]> {
  const { limit, type } = asked;
  const [runs, webhooks] = await Promise.all([
    type === 'webhook' ? [] : recentRuns(db, asked),
    type === undefined || type === 'webhook' ? recentWebhooks(db, asked) : [],
  ]);
  const byTime = (a: SyncEvent, b: SyncEvent) => b.started_at.getTime() - a.started_at.getTime();
  return [...runs, ...webhooks].toSorted(byTime).slice(0, limit);
}

// The marks are those of the first module: reading them of all would read every activity of a run.
async function recentRuns(db: Database, { limit, status, type }: EventsAsked): Promise<SyncEvent[]> {
  const { rows } = await sql<Row>`
    select r.id, organization_id, r.name, sync_type, r.status, started_at, completed_at,
      ${milliseconds('started_at', 'completed_at')} as duration_ms, (progress ->> 'records')::int as items_processed,
      case when r.status = 'failed' then coalesce(result ->> 'message', 'ended by an operator') end as error_message,
      case when r.status = 'failed' then result ->> 'tag' end as error_code,
      first.output ->> 'since' as sync_token_before,
      case when r.status = 'success' then first.output ->> 'started_at' end as sync_token_after
    from (select * from ${RUNS} r where true ${status ? sql`and status = ${status}` : sql``}
        ${type ? sql`and sync_type = ${type}` : sql``} order by started_at desc, id desc limit ${limit}) r
    left join lateral (
      select output from tds_workflow_activities a where a.workflow_id = r.id and position = 1
        and jsonb_typeof(output) = 'object' offset 0) first on true
    order by started_at desc, r.id desc`.execute(db);
  return rows.map(asEvent);
}

const STATUSES: Record<SyncStatus, Status[]> = {
  started: ['pending', 'processing'],
  success: ['completed'],
  failed: ['retry', 'dead_letter'],
};
const ALL = Object.values(STATUSES).flat();

/** The latest webhooks as sync events, by the time at which they arrived. */
export async function recentWebhooks(db: Database, { limit, status }: EventsAsked): Promise<SyncEvent[]> {
  const { rows } = await sql<Row>`
    select q.id, q.organization_id, q.event_type as name, 'webhook' as sync_type,
      case when q.status = 'completed' then 'success' when q.status in ('retry', 'dead_letter') then 'failed'
        else 'started' end as status,
      q.queued_at as started_at, q.completed_at, ${milliseconds('q.queued_at', 'q.completed_at')} as duration_ms,
      (q.status = 'completed')::int as items_processed, ${shortError('q.error_message')} as error_message,
      q.error_tag as error_code, null as sync_token_before, null as sync_token_after
    from tds_sync_queue q where ${isAmongNewest({ statuses: status ? STATUSES[status] : ALL, limit, webhooks: true })}
    order by q.queued_at desc, q.id desc limit ${limit}`.execute(db);
  return rows.map(asEvent);
}

function milliseconds(from: string, to: string): RawBuilder<number | null> {
  return sql`round(extract(epoch from ${sql.ref(to)} - ${sql.ref(from)}) * 1000)::float8`;
}

function asEvent(row: Row): SyncEvent {
  const { duration_ms, items_processed } = row;
  return {
    ...{ ...row, service: SERVICE },
    duration: duration_ms === null ? 'N/A' : `${duration_ms}ms`,
    items_per_second: duration_ms && items_processed ? (items_processed / (duration_ms / 1000)).toFixed(2) : 'N/A',
  };
}
