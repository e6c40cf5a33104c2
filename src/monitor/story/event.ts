import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Status } from '../../queue/vocabulary.ts';
import { ALIVE } from '../workers.ts';
import { type AttemptOfStory, attemptsOf, type DeedOfStory, deedsOf, type EditOfStory, editsOf } from './parts.ts';
import { type WaitFacts, type WaitsFor, waitsFor } from './waits-for.ts';

export type EventStory = {
  id: string;
  organization_id: string;
  event_type: string;
  entity_id: string | null;
  status: Status;
  attempt_count: number;
  priority: number;
  queued_at: Date;
  started_at: Date | null;
  completed_at: Date | null;
  outcome: string | null;
  error_tag: string | null;
  delivery: {
    received_at: Date;
    source: string;
    version: Date | null;
    bytes: number;
    quarantine_reason: string | null;
  } | null;
  waits_for: WaitsFor;
  next_attempt_at: Date | null;
  lease: { worker_id: string; host: string | null; pid: number | null; since: Date; expires_at: Date | null } | null;
  attempts: AttemptOfStory[];
  dead_letter: { opened_at: Date; retry_count: number; last_retry_at: Date | null; resolved_at: Date | null } | null;
  /** Set once an operator took it out of the queue. */
  discarded: { at: Date; by: string; reason: string } | null;
  /** The dead letter that it was made of. */
  edit_of: EditOfStory | null;
  /** The event that was made of it. */
  edited_into: EditOfStory | null;
  deeds: DeedOfStory[];
};

type Derived =
  | 'waits_for'
  | 'attempts'
  | 'deeds'
  | 'delivery'
  | 'lease'
  | 'dead_letter'
  | 'discarded'
  | 'edit_of'
  | 'edited_into';
type Row = Omit<EventStory, Derived> & {
  now: Date;
  run_at: Date;
  suspect: boolean;
  received_at: Date | null;
  source: string | null;
  version: Date | null;
  bytes: number;
  quarantine_reason: string | null;
  worker_id: string | null;
  host: string | null;
  pid: number | null;
  claimed_at: Date | null;
  expires_at: Date | null;
  moved_to_dlq_at: Date | null;
  retry_count: number;
  last_retry_at: Date | null;
  resolved_at: Date | null;
  discarded_at: Date | null;
  discarded_by: string | null;
  discard_reason: string | null;
  quarantined_by: string | null;
  last_error: string | null;
  paused: boolean;
  paused_by: string | null;
  paused_at: Date | null;
  pause_reason: string | null;
  held_type: string | null;
  held_by: string | null;
  held_at: Date | null;
  held_reason: string | null;
  before_paused: string | null;
  before_id: string | null;
  before_status: Status | null;
  before_worker: string | null;
  quota_until: Date | null;
  workers_alive: number;
  workers_claiming: number;
};

/** The story of one event: delivery, attempts, deeds, and what it waits for; undefined when there is none of this id. */
export async function eventStory(db: Database, id: string): Promise<EventStory | undefined> {
  const [{ rows }, attempts, deeds, edits] = await Promise.all([
    statement(id).execute(db),
    attemptsOf(db, [id]),
    deedsOf(db, [id]),
    editsOf(db, id),
  ]);
  const [row] = rows;
  if (!row) return undefined;
  const waits_for = waitsFor(waitFacts(row, edits.edited_into?.event_id ?? null));
  return { ...factsOf(row), ...edits, waits_for, attempts, deeds };
}

function factsOf(row: Row): Omit<EventStory, 'waits_for' | 'attempts' | 'deeds' | 'edit_of' | 'edited_into'> {
  const { id, organization_id, event_type, entity_id, status, attempt_count, priority, outcome, error_tag } = row;
  const { received_at, source, version, bytes, quarantine_reason, worker_id, host, pid, claimed_at, expires_at } = row;
  const { moved_to_dlq_at, retry_count, last_retry_at, resolved_at, queued_at, started_at, completed_at } = row;
  return {
    ...{ id, organization_id, event_type, entity_id, status, attempt_count, priority },
    ...{ queued_at, started_at, completed_at, outcome, error_tag },
    delivery: received_at && { received_at, source: source ?? 'webhook', version, bytes, quarantine_reason },
    next_attempt_at: row.next_attempt_at,
    lease: worker_id && claimed_at ? { worker_id, host, pid, since: claimed_at, expires_at } : null,
    discarded: discardOf(row),
    dead_letter: moved_to_dlq_at && { opened_at: moved_to_dlq_at, retry_count, last_retry_at, resolved_at },
  };
}

function discardOf({ discarded_at, discarded_by, discard_reason }: Row): EventStory['discarded'] {
  return discarded_at && { at: discarded_at, by: discarded_by ?? '', reason: discard_reason ?? '' };
}

function waitFacts(row: Row, into: string | null): WaitFacts {
  const { status, now, suspect, before_id, before_status } = row;
  const discarded = discardOf(row);
  return {
    discarded: discarded && { ...discarded, into },
    quarantined: row.quarantined_by === null ? null : { by: row.quarantined_by, reason: row.last_error ?? '' },
    ...{ status, now, suspect, runAt: row.run_at, errorTag: row.error_tag, attemptCount: row.attempt_count },
    paused: row.paused ? { by: row.paused_by, at: row.paused_at, reason: row.pause_reason } : null,
    held: heldOf(row),
    heldBy: row.worker_id && row.claimed_at ? { worker: nameOf(row), since: row.claimed_at } : null,
    before:
      before_id && before_status
        ? { id: before_id, status: before_status, heldBy: row.before_worker, pausedType: row.before_paused }
        : null,
    ...{ quotaUntil: row.quota_until, workersAlive: row.workers_alive, workersClaiming: row.workers_claiming },
  };
}

function heldOf({ held_type, held_by, held_at, held_reason }: Row): WaitFacts['held'] {
  return held_type !== null && held_at
    ? { type: held_type, by: held_by ?? '', at: held_at, reason: held_reason ?? '' }
    : null;
}

function nameOf({ worker_id, host, pid }: Row): string {
  return host === null ? `${worker_id}` : `${worker_id} (${host}, pid ${pid})`;
}

/** The pause of the type of a queue row. */
const pauseOf = (row: string) => sql`
    select * from tds_event_type_pauses p where p.event_type in (${sql.ref(`${row}.event_type`)},
      split_part(${sql.ref(`${row}.event_type`)}, '.', 1) || '.*') order by p.paused_at limit 1`;

// Who comes first: what is in hand of the same entity, or else waits in front of it. Each is one look-up by key.
const statement = (id: string) => sql<Row>`
  select q.id, q.organization_id, q.event_type, q.entity_id, q.status, q.attempt_count, q.priority, q.queued_at,
    q.started_at, q.completed_at, q.outcome, q.error_tag, q.run_at, q.suspect, q.payload_bytes as bytes, now() as now,
    case when q.status in ('pending', 'retry') and q.run_at > now() then q.run_at end as next_attempt_at,
    i.received_at, i.quarantine_reason, p.source, p.version,
    l.worker_id, l.claimed_at, w.host, w.pid, w.expires_at,
    d.moved_to_dlq_at, coalesce(d.retry_count, 0) as retry_count, d.last_retry_at, d.resolved_at, d.discarded_at,
    d.discarded_by, d.discard_reason, d.quarantined_by, left(d.last_error, 500) as last_error,
    s.paused, s.paused_by, s.paused_at, s.reason as pause_reason,
    t.event_type as held_type, t.paused_by as held_by, t.paused_at as held_at, t.reason as held_reason,
    (select h.event_type from tds_sync_queue e cross join lateral (${pauseOf('e')}) h where e.id = b.id) as before_paused,
    b.id as before_id, b.status as before_status, b.worker_id as before_worker,
    z.paused_until as quota_until,
    (select count(*)::int from tds_workers where ${ALIVE}) as workers_alive,
    (select count(*)::int from tds_workers where ${ALIVE} and drained_at is null) as workers_claiming
  from tds_known_events q
  cross join tds_queue_state s
  left join tds_inbox_events i on i.event_id = q.id
  left join tds_inbox_payloads p on p.event_id = q.id
  left join tds_queue_leases l on l.lease = q.lease
  left join tds_workers w on w.worker_id = l.worker_id
  left join tds_dead_letter_queue d on d.id = q.id
  left join lateral (${pauseOf('q')}) t on true
  left join tds_zoho_quota z on z.organization_id = q.organization_id
  left join lateral (
    select * from (
      select e.id, e.status, h.worker_id, 0 as place, e.arrival from tds_queue_claims c
        join tds_queue_leases h on h.lease = c.lease
        join tds_sync_queue e on e.id = any (h.ids) and e.entity_key = c.entity_key and e.lease = c.lease
      where c.entity_key = q.entity_key
      union all
      (select e.id, e.status, null, 1, -e.arrival from tds_queue_waiting e
       where e.entity_key = q.entity_key and e.arrival < q.arrival order by e.arrival desc limit 1)) first
    where q.status in ('pending', 'retry') order by place, arrival limit 1) b on true
  where q.id = ${id}`;
