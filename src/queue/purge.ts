import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { daysOf, type Retention, type RetentionKind } from './retention.ts';

const NOTHING = {
  ...{
    events: 0,
    logs: 0,
    inbox: 0,
    dedupe_keys: 0,
    dead_letters: 0,
    edits: 0,
    failures: 0,
    failure_groups: 0,
    failure_hours: 0,
  },
  ...{ rejections: 0, alerts: 0, notifications: 0, totals: 0, zoho_totals: 0, workers: 0, versions: 0 },
  ...{ sessions: 0, tokens: 0 },
};

/** How many rows of each kind were deleted; `dedupe_keys`: set free. */
export type PurgeResult = typeof NOTHING;

type Deleted = keyof PurgeResult;

type Step = {
  text: string;
  /** Whose retention holds; default: that of everything. */
  kind?: RetentionKind;
  /** Where the walk begins: before every key. Without it each batch finds the next rows by itself. */
  start?: string[];
};

type Batch = { seen: number; reached: string[] | null; deleted: Partial<PurgeResult> };

const BATCH = 1000;

/**
 * Deletes what nobody needs any more: completed events older than the `retention` with their payloads, log rows and inbox rows,
 * what SQL by hand left behind of deleted events, resolved dead letters and alerts, dead letters discarded 30 days ago, notifications, totals, failures with
 * their groups and hours, counts of rejected deliveries, sessions that have ended, tokens that ended long ago, workers that
 * ended a day ago, and versions of records older than the `days` of books_history_days.
 * Events that wait, run or are dead stay, whatever their age. A dedupe key is set free 30 days after its event arrived:
 * until then the inbox row stays, also with a shorter retention, because the key is the only wall against a repeat.
 *
 * In transactions of 1,000 rows that find them by index, with a pause as long as each took: nothing waits for it, and
 * what a crash or `signal` leaves undone is done the next time.
 *
 * Locks: completed rows of the queue (skipping locked ones), then their inbox rows, as every end of an event does.
 */
export async function purge(pool: Pool, retention: Retention, signal?: AbortSignal): Promise<PurgeResult> {
  const result = { ...NOTHING };
  for (const step of STEPS) {
    const days = daysOf(retention, step.kind);
    for await (const deleted of batches(pool, step, days, signal)) add(result, deleted);
  }
  return result;
}

/**
 * To be called before rows of that age are deleted by another way: what they have been counted for stays in the roll-ups.
 * The purge of events does it by itself, in the same statement.
 */
export async function freezeMetrics(pool: Pool, days: number): Promise<void> {
  await pool.query(FREEZE, [days]);
}

/** How many completed events `purge` would delete. */
export async function countPurgeable(pool: Pool, days: number): Promise<number> {
  const { rows } = await pool.query<{ events: number }>(
    `select count(*)::int as events from tds_sync_queue
     where queued_at < ${TOO_OLD} and status = 'completed' and completed_at < ${TOO_OLD}`,
    [days],
  );
  return rows[0]?.events ?? 0;
}

async function* batches(pool: Pool, { text, start = [] }: Step, days: number, signal?: AbortSignal) {
  for (let place = start, more = true; more && !signal?.aborted; ) {
    const began = performance.now();
    const { rows } = await inTransaction(pool, (client) => client.query<Batch>(text, [days, BATCH, ...place]), BEGIN);
    const [batch] = rows;
    if (!batch) return;
    yield batch.deleted;
    place = start.length > 0 && batch.reached ? batch.reached : start;
    more = batch.seen === BATCH;
    if (more) await sleep(performance.now() - began, undefined, { signal }).catch(() => {});
  }
}

function add(result: PurgeResult, deleted: Partial<PurgeResult>): void {
  for (const [kind, rows] of Object.entries(deleted)) result[kind as Deleted] += rows;
}

// A batch that a crash of PostgreSQL undoes is done again: no need to wait for the disk.
// The rest: a thousand rows of tables of millions, found by index whatever statistics say.
const BEGIN = `begin; set local synchronous_commit = off; set local enable_seqscan = off;
set local enable_hashjoin = off; set local enable_mergejoin = off`;

const TOO_OLD = `now() - $1::int * interval '1 day'`;
const INBOX_TOO_OLD = `now() - greatest($1::int, 30) * interval '1 day'`;
const FIRST_ID = '00000000-0000-0000-0000-000000000000';

/** The lowest event id of that time: ids are UUIDs of version 7, which begin with the milliseconds (RFC 9562). */
const idAt = (time: string) =>
  `rpad(lpad(to_hex((extract(epoch from ${time}) * 1000)::bigint), 12, '0'), 32, '0')::uuid`;

// An hour ahead, so that not every batch writes it.
const FREEZE = `
update tds_metrics_state set frozen_until = ${TOO_OLD} + interval '1 hour' where singleton and frozen_until < ${TOO_OLD}`;

// By queued_at: an event is never completed before it was queued. Those that do not go are passed by once.
const EVENTS = `
with frozen as (${FREEZE}),
seen as materialized (
  select id, queued_at, completed_at from tds_sync_queue
  where queued_at < ${TOO_OLD} and (queued_at, id) > ($3::timestamptz, $4::uuid)
  order by queued_at, id limit $2),
gone as (
  delete from tds_sync_queue where id = any (array(
    select q.id from seen cross join lateral (
      select id from tds_sync_queue where id = seen.id and status = 'completed' and completed_at < ${TOO_OLD}
      for update skip locked) q
    where seen.completed_at < ${TOO_OLD}))
  returning id),
payloads as (delete from tds_inbox_payloads p using gone where p.event_id = gone.id),
logs as (delete from tds_sync_logs l using gone where l.queue_id = gone.id returning 1),
inbox as (
  delete from tds_inbox_events i using gone
  where i.event_id = gone.id and coalesce(i.processed_at, i.received_at) < ${INBOX_TOO_OLD} returning 1)
select (select count(*)::int from seen) as seen,
  (select array[queued_at::text, id::text] from seen order by queued_at desc, id desc limit 1) as reached,
  json_build_object('events', (select count(*) from gone), 'logs', (select count(*) from logs),
    'inbox', (select count(*) from inbox)) as deleted`;

const DEDUPE_KEYS = `
with seen as materialized (
  select id, queued_at from tds_sync_queue
  where queued_at < now() - interval '30 days' and (queued_at, id) > (
    coalesce((select queued_at from tds_purge_progress where step = 'dedupe_keys'), '-infinity'),
    coalesce((select id from tds_purge_progress where step = 'dedupe_keys'), '${FIRST_ID}'))
  order by queued_at, id limit $2),
progress as (
  insert into tds_purge_progress select 'dedupe_keys', queued_at, id from seen order by queued_at desc, id desc limit 1
  on conflict (step) do update set queued_at = excluded.queued_at, id = excluded.id),
free as (
  update tds_inbox_events i set dedupe_key = null from seen
  where i.event_id = seen.id and i.dedupe_key is not null returning 1)
select (select count(*)::int from seen) as seen, json_build_object('dedupe_keys', (select count(*) from free)) as deleted
where $1::int is not null`;

/** Neither in the queue nor discarded from it: a discarded event can be restored. */
const isGone = (id: string) => `not exists (select from tds_sync_queue q where q.id = ${id})
    and not exists (select from tds_dead_letter_queue d where d.id = ${id} and d.discarded_at is not null)`;

// Of events that are not in the queue any more: deleted by hand, or purged sooner than their dedupe keys.
const INBOX = `
with seen as materialized (
  select event_id, coalesce(processed_at, received_at) as at from tds_inbox_events
  where event_id > $3::uuid and event_id < ${idAt(INBOX_TOO_OLD)} order by event_id limit $2),
gone as (
  delete from tds_inbox_events i using seen where i.event_id = seen.event_id and seen.at < ${INBOX_TOO_OLD}
    and ${isGone('i.event_id')} returning 1)
select (select count(*)::int from seen) as seen,
  (select array[event_id::text] from seen order by event_id desc limit 1) as reached,
  json_build_object('inbox', (select count(*) from gone)) as deleted`;

// Of events that are not in the queue any more: a failure says why its event waits, or is dead.
const leftBehind = (kind: Deleted, table: string, key: string) => `
with seen as materialized (
  select ${key} as id from ${table}
  where ${key} > $3::uuid and ${key} < ${idAt(TOO_OLD)} order by ${key} limit $2),
gone as (
  delete from ${table} l using (select distinct id from seen) s
  where l.${key} = s.id and l.created_at < ${TOO_OLD}
    and ${isGone(`l.${key}`)} returning 1)
select (select count(*)::int from seen) as seen,
  (select array[id::text] from seen order by id desc limit 1) as reached,
  json_build_object('${kind}', (select count(*) from gone)) as deleted`;

const ended = (kind: Deleted, table: string, key: string, isOld: string, by: string) => `
with gone as (
  delete from ${table} where ${key} = any (array(
    select ${key} from ${table} t where ${isOld} order by ${by} limit $2 for update of t skip locked))
  returning 1)
select count(*)::int as seen, json_build_object('${kind}', count(*)) as deleted from gone where $1::int is not null`;

const GROUP_TOO_OLD = `last_seen_at < ${TOO_OLD}
      and not exists (select from tds_failures f where f.fingerprint = t.fingerprint)`;

// The dead letter of an event that waits, runs or died again keeps how often it was retried. A discarded one can be
// restored for 30 days, and an edited one stays with the event that was made of it.
const LETTER_TOO_OLD = `resolved_at < now() - least($1::int, 30) * interval '1 day'
      and resolved_at < case when discarded_at is null then ${TOO_OLD} else now() - interval '30 days' end
      and not exists (select from tds_sync_queue q where q.id = t.id and q.status <> 'completed')
      and not exists (select from tds_event_edits e where e.original_id = t.id)`;

// Ten-second totals are for the last hours and for the digest; the rest is in the roll-ups.
const TOTALS_TOO_OLD = `now() - interval '35 days'`;

const VERSION_TOO_OLD = `valid_to < now() - (select days from books_history_days) * interval '1 day'`;

const TOKEN_ENDED = 'least(revoked_at, expires_at)';

const STEPS: Step[] = [
  { kind: 'events', text: EVENTS, start: ['-infinity', FIRST_ID] },
  { text: DEDUPE_KEYS },
  { kind: 'events', text: leftBehind('edits', 'tds_event_edits', 'event_id'), start: [FIRST_ID] },
  { kind: 'dead_letters', text: ended('dead_letters', 'tds_dead_letter_queue', 'id', LETTER_TOO_OLD, 'resolved_at') },
  { kind: 'events', text: INBOX, start: [FIRST_ID] },
  { kind: 'events', text: leftBehind('logs', 'tds_sync_logs', 'queue_id'), start: [FIRST_ID] },
  { kind: 'failures', text: leftBehind('failures', 'tds_failures', 'event_id'), start: [FIRST_ID] },
  {
    kind: 'failures',
    text: ended('failure_groups', 'tds_failure_groups', 'fingerprint', GROUP_TOO_OLD, 'last_seen_at'),
  },
  { kind: 'failures', text: ended('failure_hours', 'tds_failure_hours', 'ctid', `hour < ${TOO_OLD}`, 'hour') },
  { kind: 'rejections', text: ended('rejections', 'tds_webhook_rejections', 'id', `last_at < ${TOO_OLD}`, 'last_at') },
  { kind: 'alerts', text: ended('alerts', 'tds_alerts', 'id', `resolved_at < ${TOO_OLD}`, 'resolved_at') },
  {
    kind: 'notifications',
    text: ended('notifications', 'tds_notifications', 'id', `created_at < ${TOO_OLD}`, 'created_at'),
  },
  { kind: 'totals', text: ended('zoho_totals', 'tds_zoho_totals', 'ctid', `bucket < ${TOO_OLD}`, 'bucket') },
  { text: ended('totals', 'tds_processing_totals', 'ctid', `bucket < ${TOTALS_TOO_OLD}`, 'bucket') },
  { text: ended('workers', 'tds_workers', 'worker_id', `ended_at < now() - interval '1 day'`, 'ended_at') },
  { text: ended('sessions', 'tds_sessions', 'session_sha256', 'expires_at < now()', 'expires_at') },
  { kind: 'tokens', text: ended('tokens', 'tds_tokens', 'id', `${TOKEN_ENDED} < ${TOO_OLD}`, TOKEN_ENDED) },
  { text: ended('versions', 'books_past_records', 'ctid', VERSION_TOO_OLD, 'valid_to') },
];
