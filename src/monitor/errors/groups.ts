import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { FailureGroupState } from '../../db/schema.ts';
import { rollUpFailures } from '../../queue/failures.ts';
import type { Position } from '../page.ts';
import { type Advice, adviceFor } from './playbook.ts';

/** One failed attempt, without people's data. */
export type FailureSample = {
  event_id: string;
  organization_id: string;
  event_type: string;
  entity_id: string | null;
  attempt: number;
  failed_at: Date;
  handler: string | null;
  http_status: number | null;
  message: string;
  stack: string | null;
  causes: unknown;
};

export type FailureGroup = {
  fingerprint: string;
  state: FailureGroupState;
  error_tag: string;
  message: string;
  place: string;
  handler: string | null;
  count: number;
  first_seen_at: Date;
  last_seen_at: Date;
  /** Of the last 24 hours, the current one last. */
  failures_by_hour: number[];
  trend: 'new' | 'rising' | 'steady' | 'falling' | 'quiet';
  /** Among the latest SAMPLED failures. */
  affected_entities: number;
  resolved_at: Date | null;
  resolved_by: string | null;
  ignored_at: Date | null;
  ignored_by: string | null;
  ignore_reason: string | null;
  suggestion: Advice;
  /** The latest; null when all of them are purged. */
  sample: FailureSample | null;
};

/** So many failures of a group are looked at for its entities: 35 buffers of one index among a million of them. */
export const SAMPLED = 1000;

type Row = Omit<FailureGroup, 'suggestion' | 'trend' | 'sample'> & { sample: FailureSample | null; at: string };

/**
 * Failures by cause, seen last first. What is not yet counted is counted first, so the numbers are exact.
 * @param options.states all when left out
 * @param options.after the `next` of the page before
 */
export async function failureGroups(
  db: Database,
  {
    limit,
    states,
    after,
  }: { limit: number; states?: readonly FailureGroupState[] | undefined; after?: Position | undefined },
): Promise<{ groups: FailureGroup[]; next: Position | undefined }> {
  await rollUpFailures(db);
  const ofState = states ? sql`and state = any (${states})` : sql``;
  const behind = after ? sql`and (last_seen_at, fingerprint) < (${after.at}::timestamptz, ${after.id})` : sql``;
  const page = sql`true ${ofState} ${behind} order by last_seen_at desc, fingerprint desc limit ${limit + 1}`;
  const { rows } = await select(page).execute(db);
  const groups = rows.slice(0, limit);
  const last = rows.length > limit ? groups.at(-1) : undefined;
  return { groups: groups.map(asGroup), next: last && { at: last.at, id: last.fingerprint } };
}

/** One group with its latest failures, latest first; undefined for an unknown fingerprint. */
export async function failureGroup(
  db: Database,
  fingerprint: string,
  limit: number,
): Promise<(FailureGroup & { failures: FailureSample[] }) | undefined> {
  await rollUpFailures(db);
  const { rows } = await select(sql`fingerprint = ${fingerprint}`).execute(db);
  if (!rows[0]) return undefined;
  const { rows: failures } = await sql<FailureSample>`${latest(sql.lit(fingerprint), limit)}`.execute(db);
  return { ...asGroup(rows[0]), failures };
}

const FIRST_HOUR = sql`date_trunc('hour', now(), 'UTC') - interval '23 hours'`;

function select(page: RawBuilder<unknown>): RawBuilder<Row> {
  return sql<Row>`
    select fingerprint, state, error_tag, message, place, handler, failures::float8 as count, first_seen_at, last_seen_at,
      resolved_at, resolved_by, ignored_at, ignored_by, ignore_reason, last_seen_at::text as at, affected_entities,
      failures_by_hour, (select row_to_json(f) from (${latest(sql.ref('g.fingerprint'), 1)}) f) as sample
    from (select * from tds_failure_groups where ${page}) g
    cross join lateral (
      select count(distinct entity_key)::int as affected_entities from (
        select entity_key from tds_failures where fingerprint = g.fingerprint
        order by created_at desc, event_id desc limit ${SAMPLED}) e) e
    cross join lateral (
      select array_agg(coalesce(h.failures, 0)::float8 order by s.hour) as failures_by_hour
      from generate_series(${FIRST_HOUR}, now(), '1 hour') as s (hour)
      left join (
        select hour, failures from tds_failure_hours where fingerprint = g.fingerprint and hour >= ${FIRST_HOUR} offset 0
      ) h on h.hour = s.hour) h
    order by last_seen_at desc, fingerprint desc`;
}

function latest(fingerprint: RawBuilder<unknown>, limit: number): RawBuilder<FailureSample> {
  return sql<FailureSample>`
    select event_id, organization_id, event_type, entity_id, attempt, created_at as failed_at, handler, http_status,
      message, stack, causes
    from tds_failures where fingerprint = ${fingerprint} order by created_at desc, event_id desc limit ${limit}`;
}

function asGroup({ at: _at, ...row }: Row): FailureGroup {
  return { ...row, trend: trendOf(row), suggestion: adviceFor(row.error_tag) };
}

const HOUR_MS = 3_600_000;

/** The last two hours against what two hours of the day before them had: twice as many is a rise, half as many a fall. */
function trendOf({ failures_by_hour, first_seen_at }: Pick<Row, 'failures_by_hour' | 'first_seen_at'>) {
  const sum = (hours: number[]) => hours.reduce((total, failures) => total + failures, 0);
  const lately = sum(failures_by_hour.slice(-2));
  const usual = sum(failures_by_hour.slice(0, -2)) / 11;
  if (lately === 0) return 'quiet';
  if (Date.now() - first_seen_at.getTime() < 2 * HOUR_MS) return 'new';
  if (lately >= 2 * usual) return 'rising';
  return lately <= usual / 2 ? 'falling' : 'steady';
}
