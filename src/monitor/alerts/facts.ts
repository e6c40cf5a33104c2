import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { oldestPendingAgeSeconds } from '../../queue/inspect.ts';
import { driftingFields } from '../field-drift.ts';
import { readCompletenessFacts } from './completeness-facts.ts';
import { readPullFacts } from './pull-facts.ts';
import { type Facts, type Labelled, RULES } from './rules.ts';
import { readWorkflowFacts } from './workflow-facts.ts';

export type FactsOptions = {
  /** With fewer events in the hour (FAILURE_RATE_MIN_EVENTS) a failure is no evidence of a failure rate. */
  failureRateMinEvents: number;
  /**
   * How long this process has been watching, in seconds. Whether a worker was alive before that is unknown: it may be
   * starting with us.
   */
  watchedSeconds: number;
  /** The API's release; whoever does not give it cannot say whether a worker is of another. */
  release?: string;
  /** The plan's daily limit of webhooks (ZOHO_WEBHOOKS_PER_DAY). */
  webhooksPerDay?: number | undefined;
  /** For tests; default: the database's clock. */
  now?: Date;
};

/** Workers get this long to register before their absence is a fact. */
const PATIENCE_SECONDS = 30;
/** So many open dead letters are looked at for their tags, the latest: about 10 ms. */
const MAX_LETTERS = 10_000;
/** So many attempts, those of the latest events, are what the latency is read from. */
const LATENCY_SAMPLE = 1000;

/**
 * What the alert rules look at. Reads counters, roll-ups, live claims and a bounded number of rows by index only: its
 * cost does not grow with the completed events. All numbers of one statement agree with each other.
 */
export async function readFacts(db: Database, options: FactsOptions): Promise<Facts> {
  const at = clock(options);
  const { rows: queue } = await queueFacts(at, options).execute(db);
  const { rows: rates } = await rateFacts(at, options).execute(db);
  const { rows: latency } = await latencyFact(at, options).execute(db);
  const { rows: zoho } = await zohoFacts(at).execute(db);
  const [q, r, l, z] = [queue[0], rates[0], latency[0], zoho[0]];
  if (!q || !r || !l || !z) throw new Error('a statement of one row answered none');
  const oldestPending = await oldestPendingAgeSeconds(db);
  return {
    ...{ ...q, ...r, ...l, ...z, ...(await letterFacts(db)), oldestPending, lastingBacklog: q.pending },
    ...{ ...(await deliveryFacts(db, at)), ...(await readWorkflowFacts(db, at)), ...(await readPullFacts(db)) },
    ...(await readCompletenessFacts(db, at, options.webhooksPerDay)),
  };
}

/** One statement: what the rules that the API always judges look at, and the queue's numbers. The rest is unknown. */
export async function readServiceFacts(db: Database, options: FactsOptions): Promise<Facts> {
  const { rows } = await queueFacts(clock(options), options).execute(db);
  const unknown = Object.fromEntries(RULES.map(({ condition }) => [condition, null])) as Facts;
  return { ...unknown, ...rows[0] };
}

type At = RawBuilder<unknown>;

function clock({ now }: FactsOptions): At {
  return now ? sql`${now}::timestamptz` : sql`now()`;
}

type Some<K extends keyof Facts> = RawBuilder<Pick<Facts, K>>;

// in_hand: what the living claims hold, at most some thousands of events; `offset 0` has each looked up by its id, whatever
// statistics say. An event that is counted as `processing` but
// in nobody's hands was made so by hand, and nobody will ever end it.
const queueFacts = (
  at: At,
  { watchedSeconds, release = null }: Omit<FactsOptions, 'release'> & { release?: string | null },
): Some<
  | 'secondsWithoutWorker'
  | 'oldestHeartbeat'
  | 'otherRelease'
  | 'pending'
  | 'deadLetters'
  | 'stuck'
  | 'givenBack'
  | 'standstill'
  | 'paused'
> => sql`
  with counts as (
    select coalesce(sum(pending), 0)::float8 as pending, coalesce(sum(processing), 0)::float8 as processing,
      coalesce(sum(dead_letter), 0)::float8 as dead_letters
    from tds_queue_counts),
  in_hand as (
    select count(*)::float8 as events, count(*) filter (where q.release_count >= 5)::float8 as given_back,
      count(*) filter (where q.started_at < ${at} - interval '1 hour')::float8 as over_an_hour,
      extract(epoch from ${at} - min(l.claimed_at))::float8 as longest
    from tds_queue_leases l cross join unnest(l.ids) as held (id) cross join lateral (
      select release_count, started_at from tds_sync_queue where id = held.id and lease = l.lease offset 0) q),
  ended as (
    select extract(epoch from ${at} - max(bucket))::float8 as ago from tds_processing_totals
    where bucket > ${at} - interval '1 hour' and succeeded + failed + released > 0),
  workers as (
    select coalesce(bool_or(ended_at is null and expires_at > ${at}), false) as alive,
      extract(epoch from ${at} - max(greatest(heartbeat_at, ended_at)))::float8 as silent,
      coalesce(extract(epoch from ${at} - min(heartbeat_at) filter (where ended_at is null)), 0)::float8 as oldest,
      count(*) filter (where ended_at is null and expires_at > ${at} and version <> ${release}::text)::float8 as other
    from tds_workers)
  select
    case when alive then 0
      when ${watchedSeconds}::float8 >= ${PATIENCE_SECONDS} then coalesce(silent, ${watchedSeconds}::float8)
    end as "secondsWithoutWorker",
    greatest(oldest, 0) as "oldestHeartbeat",
    case when ${release}::text is not null then other end as "otherRelease",
    pending, dead_letters as "deadLetters",
    over_an_hour + greatest(processing - events, 0) as stuck,
    given_back + (select count(*) from tds_queue_waiting where release_count >= 5) as "givenBack",
    greatest(case when events > 0 then least(longest, coalesce(ago, longest)) else 0 end, 0) as standstill,
    coalesce((select greatest(extract(epoch from ${at} - paused_at), 1) from tds_queue_state where paused), 0)::float8
      as paused
  from counts, in_hand, ended, workers`;

// A few events that all went well may clear an alert; a few of which one failed say nothing.
const share = (part: string, whole: string, least: number) =>
  sql`case when ${sql.raw(whole)} >= ${least} or ${sql.raw(part)} = 0
    then 100 * ${sql.raw(part)} / nullif(${sql.raw(whole)}, 0) end`;

const rateFacts = (
  at: At,
  { failureRateMinEvents }: FactsOptions,
): Some<'failurePercent' | 'failedAttemptsPercent' | 'recentFailurePercent' | 'failedPerMinute'> => sql`
  with hour as (
    select sum(first_attempts)::float8 as first, sum(first_failures)::float8 as first_failed,
      sum(succeeded + failed)::float8 as attempts, sum(failed)::float8 as failed,
      sum(succeeded + failed) filter (where bucket > ${at} - interval '5 minutes')::float8 as recent,
      sum(failed) filter (where bucket > ${at} - interval '5 minutes')::float8 as recent_failed,
      coalesce(sum(failed) filter (where bucket > ${at} - interval '1 minute'), 0)::float8 as last_minute
    from tds_processing_totals where bucket > ${at} - interval '1 hour' and bucket <= ${at})
  select ${share('first_failed', 'first', failureRateMinEvents)} as "failurePercent",
    ${share('failed', 'attempts', failureRateMinEvents)} as "failedAttemptsPercent",
    ${share('recent_failed', 'recent', failureRateMinEvents)} as "recentFailurePercent",
    last_minute as "failedPerMinute"
  from hour`;

// Ids of events are UUIDs of version 7: the highest are the latest, and the index knows them.
const latencyFact = (at: At, { failureRateMinEvents }: FactsOptions): Some<'latencyP95'> => sql`
  select case when count(*) >= ${failureRateMinEvents} or max(duration_ms) <= 1000
    then (percentile_cont(0.95) within group (order by duration_ms) / 1000)::float8 end as "latencyP95"
  from (select duration_ms, created_at, status from tds_sync_logs order by queue_id desc limit ${LATENCY_SAMPLE}) latest
  where created_at > ${at} - interval '5 minutes' and status <> 'released'`;

/** Zoho has few calls: ten say enough. */
const zohoFacts = (at: At): Some<'zohoFailurePercent' | 'zohoFailuresInARow' | 'circuitTrips'> => sql`
  with recent as (
    select sum(calls)::float8 as calls, sum(failures)::float8 as failures
    from tds_zoho_totals where bucket > ${at} - interval '5 minutes' and bucket <= ${at})
  select ${share('failures', 'calls', 10)} as "zohoFailurePercent",
    (select coalesce(sum(trips), 0)::float8 from tds_zoho_totals
      where trips > 0 and bucket > ${at} - interval '1 day' and bucket <= ${at}) as "circuitTrips",
    (select coalesce(max(failures), 0)::float8 from tds_zoho_quota) as "zohoFailuresInARow"
  from recent`;

type DeliveryFacts = Pick<Facts, 'rejectedSinceAccepted' | 'driftingFields' | 'metricsDrift'>;

async function deliveryFacts(db: Database, at: At): Promise<DeliveryFacts> {
  const { rows } = await sql<DeliveryFacts>`
    select (select rejected_since_accepted::float8 from tds_webhook_intake where last_accepted_at is not null)
        as "rejectedSinceAccepted",
      (select count(*)::float8 from (${driftingFields(sql`${at} - interval '24 hours'`)}) f) as "driftingFields",
      (select drift::float8 from tds_metrics_state) as "metricsDrift"`.execute(db);
  return rows[0] ?? { rejectedSinceAccepted: null, driftingFields: null, metricsDrift: null };
}

const REJECTED = ['ValidationError', 'ConflictError'];
const OTHER_SIDE = ['InternalServerError', 'ServiceUnavailableError'];

async function letterFacts(db: Database): Promise<Pick<Facts, 'rejected' | 'otherSide' | 'quarantined'>> {
  // What an operator took out of the queue is no news to anybody.
  const { rows } = await sql<{ error_tag: string; kind: string; letters: number }>`
    select error_tag, kind, count(*)::float8 as letters
    from (select error_tag, kind, quarantined_by from tds_dead_letter_queue where resolved_at is null
          order by moved_to_dlq_at desc, id desc limit ${MAX_LETTERS}) open
    where quarantined_by is null group by error_tag, kind`.execute(db);
  const failed = rows.filter(({ kind }) => kind === 'failed');
  const of = (tags: string[]): Labelled =>
    failed
      .filter(({ error_tag }) => tags.includes(error_tag))
      .map(({ error_tag, letters }) => ({ labels: { error_tag }, value: letters }));
  const unread = rows.filter(({ kind }) => kind === 'quarantined');
  const quarantined = unread.reduce((sum, { letters }) => sum + letters, 0);
  return { rejected: of(REJECTED), otherSide: of(OTHER_SIDE), quarantined };
}
