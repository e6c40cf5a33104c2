import type { ClientBase } from 'pg';
import { blameDatabase } from '../db/weather.ts';
import type { ClaimedEvent } from './event.ts';
import { letGo, StaleLease } from './finish.ts';

export type Completed = {
  events: ClaimedEvent[];
  /** Outcome by queue id, where a handler named one. */
  labels: Map<string, string>;
  durationMs: number;
};

/**
 * Gives up the claims of a set and completes all of its events, in the transaction of the handlers' effects. One row
 * of `tds_queue_claims` says whether they are still ours, so they need not stand as `processing`.
 *
 * The claims go in a statement of their own: mark.ts may hold them, and what it wrote must be seen afterwards.
 * @throws StaleLease when any of the events is not ours any more: roll back
 */
export async function completeSet(client: ClientBase, workerId: string, completed: Completed): Promise<void> {
  const claims = await letGo(client, completed.events);
  const leases = new Set(completed.events.map(({ lease }) => lease));
  if (claims.length < leases.size) throw new StaleLease(completed.events.length);
  await complete(client, workerId, completed, claims[0]?.claimed_at ?? null);
}

/** Completes some events of a set that mark.ts has marked; their claims are kept until `letGo`. @throws StaleLease */
export async function completeMarked(client: ClientBase, workerId: string, completed: Completed): Promise<void> {
  await complete(client, workerId, completed, null);
}

async function complete(
  client: ClientBase,
  workerId: string,
  { events, labels, durationMs }: Completed,
  claimedAt: string | null,
): Promise<void> {
  // Written as PostgreSQL reads an array: pg's own writer looks into each of 1,000 ids for what must be escaped.
  const ids = `{${events.map(({ id }) => id).join()}}`;
  const leases = `{${events.map(({ lease }) => lease).join()}}`;
  const outcomes = labels.size > 0 ? events.map(({ id }) => labels.get(id) ?? null) : [];
  const values = [workerId, ids, leases, outcomes, durationMs, claimedAt];
  const { rows } = await client.query<{ n: number }>({ name: 'complete', text: COMPLETE, values }).catch(blameDatabase);
  const lost = events.length - (rows[0]?.n ?? 0);
  if (lost > 0) throw new StaleLease(lost);
}

// What state.ts says of an event that succeeded, and finish.ts writes, without all that may happen to others.
const COMPLETE = `
with completed as (
  update tds_sync_queue q set status = 'completed', attempt_count = q.attempt_count + 1, lease = null,
    started_at = coalesce($6::timestamptz, q.started_at), completed_at = statement_timestamp(),
    suspect = false, outcome = e.outcome, error_tag = null, error_message = null
  from unnest($2::uuid[], $3::uuid[], $4::text[]) as e (id, lease, outcome)
  where q.id = e.id and (q.status = 'processing' and q.lease = e.lease
    or $6::timestamptz is not null and q.status in ('pending', 'retry'))
  returning q.id, q.event_id, q.attempt_count, q.outcome),
logged as (
  insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status, outcome)
  select id, $1, statement_timestamp(), $5, attempt_count, 'completed', outcome from completed),
processed as (
  update tds_inbox_events i set processed = true, processed_at = statement_timestamp(),
    dedupe_key = case when i.versioned then i.dedupe_key end
  from completed c where i.event_id = c.event_id)
select count(*)::int as n from completed`;
