import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { driftingFields } from '../field-drift.ts';
import { readPullFacts } from './pull-facts.ts';
import type { PullFacts } from './pull-rules.ts';
import type { Facts } from './rules.ts';
import { readWorkflowFacts } from './workflow-facts.ts';
import type { WorkflowFacts } from './workflow-rules.ts';

export type FactsOptions = {
  /** With fewer events in the hour (FAILURE_RATE_MIN_EVENTS) a failure is no evidence of a failure rate. */
  failureRateMinEvents: number;
  /**
   * How long this process has been watching, in seconds. Whether a worker was alive before that is unknown: it may be
   * starting with us.
   */
  watchedSeconds: number;
};

/** What this file reads itself. */
type EventFacts = Omit<Facts, keyof WorkflowFacts | keyof PullFacts>;

const UNKNOWN: EventFacts = {
  secondsWithoutWorker: null,
  pending: null,
  deadLetters: null,
  stuck: null,
  failurePercent: null,
  givenBack: null,
  rejectedSinceAccepted: null,
  driftingFields: null,
};

/** Workers get this long to register before their absence is a fact. */
const PATIENCE_SECONDS = 30;

/**
 * What the alert rules look at. Reads counters, roll-ups and live claims only: its cost does not grow
 * with the completed events. All numbers about events agree with each other: they come from one statement.
 */
export async function readFacts(db: Database, options: FactsOptions): Promise<Facts> {
  const { rows } = await statement(options).execute(db);
  return { ...(rows[0] ?? UNKNOWN), ...(await readWorkflowFacts(db)), ...(await readPullFacts(db)) };
}

// in_hand: what the living claims hold, at most some thousands of events; `offset 0` has each looked up by its id, whatever
// statistics say. An event that is counted as `processing` but
// in nobody's hands was made so by hand, and nobody will ever end it.
// failurePercent: a few events that all went well may clear an alert; a few of which one failed say nothing.
const statement = ({ failureRateMinEvents, watchedSeconds }: FactsOptions) => sql<EventFacts>`
  with counts as (
    select coalesce(sum(pending), 0)::float8 as pending, coalesce(sum(processing), 0)::float8 as processing,
      coalesce(sum(dead_letter), 0)::float8 as dead_letters
    from tds_queue_counts),
  in_hand as (
    select count(*)::float8 as events, count(*) filter (where q.release_count >= 5)::float8 as given_back,
      count(*) filter (where q.started_at < now() - interval '1 hour')::float8 as over_an_hour
    from tds_queue_leases l cross join unnest(l.ids) as held (id) cross join lateral (
      select release_count, started_at from tds_sync_queue where id = held.id and lease = l.lease offset 0) q),
  first as (
    select sum(first_attempts)::float8 as attempts, sum(first_failures)::float8 as failures
    from tds_processing_totals where bucket > now() - interval '1 hour'),
  workers as (
    select coalesce(bool_or(ended_at is null and expires_at > now()), false) as alive,
      extract(epoch from now() - max(greatest(heartbeat_at, ended_at)))::float8 as silent
    from tds_workers)
  select
    case when alive then 0
      when ${watchedSeconds}::float8 >= ${PATIENCE_SECONDS} then coalesce(silent, ${watchedSeconds}::float8)
    end as "secondsWithoutWorker",
    pending, dead_letters as "deadLetters",
    over_an_hour + greatest(processing - events, 0) as stuck,
    case when attempts >= ${failureRateMinEvents} or failures = 0 then 100 * failures / nullif(attempts, 0)
    end as "failurePercent",
    given_back + (select count(*) from tds_queue_waiting where release_count >= 5) as "givenBack",
    (select rejected_since_accepted::float8 from tds_webhook_intake where last_accepted_at is not null)
      as "rejectedSinceAccepted",
    (select count(*)::float8 from (${driftingFields(sql`now() - interval '24 hours'`)}) f) as "driftingFields"
  from counts, in_hand, first, workers`;
