import type { ClientBase } from 'pg';
import { ownStatement } from '../db/origin.ts';
import type { ClaimedEvent } from './event.ts';
import { type Failure, recordFailures } from './failures.ts';
import type { Transition } from './state.ts';

export type Finished = {
  event: ClaimedEvent;
  transition: Transition;
  durationMs: number;
  /** What was thrown, of an end that is a failure. */
  failure?: Failure | undefined;
};

/** Some of the events were no longer ours: their lease was lost, and with it the right to any effect. */
export class StaleLease extends Error {
  override name = 'StaleLease';
  constructor(lost: number) {
    super(`${lost} event(s) are no longer held under our lease`);
  }
}

/**
 * Writes what became of claimed events: the one end of every attempt. Queue row, log row and failure are written here;
 * claims, dead letters, counts and the inbox follow by trigger. Only events still in `processing` under their lease are
 * touched: run it in the transaction of the handlers' effects.
 *
 * Locks: the worker's advisory lock, shared (rescue.ts takes it alone), then queue rows, then what the triggers write.
 * @throws StaleLease when any of the events is not ours any more: roll back
 */
export async function finish(client: ClientBase, workerId: string, finished: Finished[]): Promise<void> {
  if (finished.length === 0) return;
  const values = [workerId, ...parameters(finished)];
  const { rows } = await client.query<{ n: number }>({ name: 'finish', text: FINISH, values }).catch(ownStatement);
  const lost = finished.length - (rows[0]?.n ?? 0);
  if (lost > 0) throw new StaleLease(lost);
  await recordFailures(client, workerId, finished);
}

/** A set mostly ends alike: the distinct ends once, and for each event which of them is its own. */
function parameters(finished: Finished[]): string[] {
  const ends = new Map<string, number>();
  const places = finished.map(({ event, transition, durationMs }) => {
    const end = JSON.stringify({ ...transition, durationMs, lease: event.lease });
    if (!ends.has(end)) ends.set(end, ends.size);
    return ends.get(end);
  });
  const distinct = [...ends].map(([end, place]) => `{"place":${place},${end.slice(1)}`);
  // Written as PostgreSQL reads an array: pg's own writer looks into each of 1,000 ids for what must be escaped.
  return [`[${distinct.join()}]`, `{${finished.map(({ event }) => event.id).join()}}`, `{${places.join()}}`];
}

/** What finish.ts holds shared while it ends events of a worker, and rescue.ts alone while it takes them back. */
export const WORKER_LOCK = 'hashtextextended($1::uuid::text, 0)';

// lease: a constraint of the table says that an event has one exactly while it is `processing`. Asking for the status as
// well would have the planner trust statistics of a moment without such events, and read the whole table.
const FINISH = `
with alive as materialized (select pg_advisory_xact_lock_shared(${WORKER_LOCK}) as locked),
ends as materialized (
  select e.id, g.lease, g.status, g.charge, g."delaySeconds" as delay, g.suspect, g."countsAsRelease" as release,
         g.outcome, g."errorTag" as error_tag, g."errorMessage" as error_message, g."durationMs" as duration_ms, g.log
  from (select count(locked) from alive) as a
  cross join unnest($3::uuid[], $4::int[]) as e (id, place)
  join jsonb_to_recordset($2::jsonb) as g (place int, lease uuid, status text, charge int, "delaySeconds" float8, suspect boolean,
    "countsAsRelease" boolean, outcome text, "errorTag" text, "errorMessage" text, "durationMs" float8, log text) using (place)),
finished as (
  update tds_sync_queue q set
    status = e.status,
    attempt_count = q.attempt_count + e.charge,
    release_count = case when e.release then q.release_count + 1 when e.status = 'pending' then q.release_count else 0 end,
    run_at = case when e.delay > 0 then statement_timestamp() + e.delay * interval '1 second' else q.run_at end,
    started_at = case when e.status = 'pending' then null else q.started_at end,
    completed_at = case when e.status = 'completed' then statement_timestamp() end,
    suspect = e.suspect, lease = null, outcome = e.outcome, error_tag = e.error_tag, error_message = e.error_message
  from ends e where q.id = any ($3::uuid[]) and q.id = e.id and q.lease = e.lease
  returning q.id, q.attempt_count, q.outcome, q.error_tag, q.error_message, e.duration_ms, e.log, e.charge,
    -- Where the end sets run_at anew, nothing says any more since when the event had been due.
    case when e.status in ('completed', 'dead_letter')
      then greatest(extract(epoch from q.started_at - q.run_at) * 1000, 0) end as waited_ms),
logged as (
  insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status, outcome, error_tag, error_message,
    waited_ms)
  select id, $1, statement_timestamp(), duration_ms, attempt_count + 1 - charge, log, outcome, error_tag, error_message,
    waited_ms
  from finished)
select count(*)::int as n from finished`;
