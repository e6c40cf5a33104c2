import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { oldestPendingAgeSeconds, queueStats } from '../../queue/inspect.ts';
import { firingAlerts } from '../alerts/firing.ts';
import { describeRule } from '../alerts/rules.ts';
import { groupDeadLetters } from '../dead-letter-groups.ts';

export type Counts = { arrived: number; succeeded: number; failed: number; dead_letters: number };

export type Digest = {
  since: string;
  until: string;
  /** Of the period; of the same time a day before; of the same time a week before. */
  counts: Counts;
  day_before: Counts;
  week_before: Counts;
  now: { pending: number; processing: number; retry: number; dead_letter: number; oldest_pending_age_seconds: number };
  alerts: { title: string; severity: string; message: string; since: string; acknowledged: boolean; runbook: string }[];
  /** Causes of open dead letters that were not there before the period. */
  new_causes: { error_tag: string; message: string; count: number; first_seen_at: string }[];
  /** Changes found by pull that no webhook announced; null: nothing is pulled. */
  holes: number | null;
  deeds: { operator: string; action: string; count: number }[];
  to_do: string[];
};

const MAX_CAUSES = 5;
const MAX_DEEDS = 20;
const DAY_HOURS = 24;
const WEEK_HOURS = 7 * DAY_HOURS;

/** What happened in the last `hours` hours, beside the same time a day and a week before, and what to do about it. */
export async function readDigest(db: Database, hours: number): Promise<Digest> {
  const [counts, day_before, week_before] = await Promise.all(
    [0, DAY_HOURS, WEEK_HOURS].map((before) => countsOf(db, hours, before)),
  );
  const [stats, oldest, alerts, groups, holes, deeds, { rows: times }] = await Promise.all([
    queueStats(db),
    oldestPendingAgeSeconds(db),
    firingAlerts(db),
    groupDeadLetters(db, 100),
    holesSince(db, hours),
    deedsSince(db, hours),
    sql<{ until: Date; since: Date }>`
      select now() as until, now() - ${hours} * interval '1 hour' as since`.execute(db),
  ]);
  const { since = new Date(), until = new Date() } = times[0] ?? {};
  const firing = [...alerts.active, ...alerts.acknowledged];
  const { pending, processing, retry, dead_letter } = stats;
  const digest = {
    ...{ since: since.toISOString(), until: until.toISOString() },
    ...{ counts: counts ?? NONE, day_before: day_before ?? NONE, week_before: week_before ?? NONE, holes, deeds },
    now: { pending, processing, retry, dead_letter, oldest_pending_age_seconds: Math.round(oldest) },
    alerts: firing.map(({ title, severity, message, fired_at, acknowledged_at, rule }) => ({
      ...{ title, severity, message, since: fired_at.toISOString(), acknowledged: acknowledged_at !== null },
      runbook: `docs/runbook.md#${rule}`,
    })),
    new_causes: groups.groups
      .filter(({ first_seen_at }) => first_seen_at >= since)
      .slice(0, MAX_CAUSES)
      .map(({ error_tag, message, count, first_seen_at }) => ({
        ...{ error_tag, message, count, first_seen_at: first_seen_at.toISOString() },
      })),
  };
  const steps = alerts.active.map(({ title, rule }) => `${title}: ${describeRule(rule).step}`);
  return { ...digest, to_do: [...steps, ...furtherSteps(dead_letter, groups.groups.length, holes)] };
}

const NONE: Counts = { arrived: 0, succeeded: 0, failed: 0, dead_letters: 0 };

function furtherSteps(letters: number, causes: number, holes: number | null): string[] {
  return [
    ...(letters > 0 ? [`Dead letters open: ${letters}, causes: ${causes}. Cure the largest, then retry it.`] : []),
    ...((holes ?? 0) > 0 ? ['Holes: see which modules lack their webhooks at dashboard/completeness.'] : []),
  ];
}

/** From the roll-ups: some thousands of rows a day, however many events there were. */
async function countsOf(db: Database, hours: number, hoursBefore: number): Promise<Counts> {
  const until = sql`now() - ${hoursBefore} * interval '1 hour'`;
  const since = sql`${until} - ${hours} * interval '1 hour'`;
  const { rows } = await sql<Counts>`
    select coalesce(sum(arrived), 0)::float8 as arrived, coalesce(sum(succeeded), 0)::float8 as succeeded,
      coalesce(sum(failed), 0)::float8 as failed,
      (select count(*) from tds_dead_letter_queue where resolved_at is null and moved_to_dlq_at > ${since}
        and moved_to_dlq_at <= ${until})::float8
      + (select count(*) from tds_dead_letter_queue where resolved_at is not null and resolved_at > ${since}
        and moved_to_dlq_at > ${since} and moved_to_dlq_at <= ${until})::float8 as dead_letters
    from tds_processing_totals where bucket > ${since} and bucket <= ${until}`.execute(db);
  return rows[0] ?? NONE;
}

async function holesSince(db: Database, hours: number): Promise<number | null> {
  const { rows } = await sql<{ holes: number }>`
    select count(*)::float8 as holes from tds_holes where found_at > now() - ${hours} * interval '1 hour'
    having exists (select from tds_pull_marks)`.execute(db);
  return rows[0]?.holes ?? null;
}

async function deedsSince(db: Database, hours: number): Promise<Digest['deeds']> {
  const { rows } = await sql<Digest['deeds'][number]>`
    select operator, action, count(*)::int as count from tds_audit_log
    where created_at > now() - ${hours} * interval '1 hour' and result <> 'denied'
    group by operator, action order by count(*) desc, operator, action limit ${MAX_DEEDS}`.execute(db);
  return rows;
}
