/** What was synchronised per hour, day or week: the roll-ups of events, and the runs of pulls. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { endedSince, RUNS } from './events.ts';

export const PERIODS = ['hour', 'day', 'week'] as const;
export type Period = (typeof PERIODS)[number];

/** Only of one organization or module; a module leaves runs out, which are of many. */
export type Scope = { organizationId?: string | undefined; module?: string | undefined };

export type Sums = {
  time: Date;
  successful_syncs: number;
  failed_syncs: number;
  /** Events and runs that succeeded, and how long they took together, in ms. */
  duration_ms: number;
  items_synced: number;
  received: number;
  rejected: number;
  dead: number;
  runs: number;
  records_pulled: number;
  pages_pulled: number;
};

/**
 * Sums per period, the current one first. A sync is an attempt at an event that completed or failed, or a run of a pull
 * that ended; an item is an event that completed, whether a webhook or a pull has brought it.
 */
export async function readPeriods(db: Database, period: Period, limit: number, scope: Scope = {}): Promise<Sums[]> {
  const { organizationId = null, module = null } = scope;
  const ago = (n: RawBuilder<unknown>) =>
    sql`date_trunc(${sql.lit(period)}, now(), 'UTC') - ${n} * ${sql.lit(`1 ${period}`)}::interval`;
  // An expression: around a subquery PostgreSQL would run tds_metrics by itself, and add up every column of it. For runs
  // it is a subquery, which is worked out once and not for each run.
  const since = ago(sql`(${limit}::int - 1)`);
  const { rows } = await sql<Sums>`
    with periods as (select ${ago(sql`n`)} as time from generate_series(0, ${limit}::int - 1) n),
    events as (
      select starts_at as time, ${EVENT_SUMS}
      from tds_metrics(${sql.lit(period)}, ${since}) m
      where (${organizationId}::text is null or organization_id = ${organizationId})
        and (${module}::text is null or split_part(event_type, '.', 1) = ${module}) group by 1),
    runs as (
      select date_bin(${sql.lit(`1 ${period}`)}, updated_at, ${A_MONDAY}) as time,
        count(*) filter (where status = 'success') as successful, count(*) filter (where status = 'failed') as failed,
        count(*) as runs, sum(date_part('epoch', updated_at - started_at) * 1000) as ms
      from ${RUNS} r where ${endedSince(sql`(select ${since})`)} and ${module}::text is null
        and (${organizationId}::text is null or organization_id = ${organizationId}) group by 1)
    select time, ${sum('e.completed', 'r.successful')} as successful_syncs, ${sum('e.failed', 'r.failed')} as failed_syncs,
      ${sum('e.run_us / 1000', 'r.ms')} as duration_ms, ${sum('e.completed')} as items_synced,
      ${sum('e.received')} as received, ${sum('e.rejected')} as rejected, ${sum('e.dead')} as dead,
      ${sum('r.runs')} as runs, ${sum('e.records')} as records_pulled, ${sum('e.pages')} as pages_pulled
    from periods left join events e using (time) left join runs r using (time) order by time desc`.execute(db);
  return rows;
}

/** Hours, days and weeks in UTC are counted from it: date_bin() takes half the time of date_trunc(). */
const A_MONDAY = sql`timestamptz '2001-01-01 00:00Z'`;

export const EVENT_SUMS: RawBuilder<unknown> = sql.raw(
  ['received', 'rejected', 'completed', 'failed', 'dead', 'run_us']
    .map((measure) => `sum(${measure}) as ${measure}`)
    .concat('sum(pulled_records) as records', 'sum(pulled_pages) as pages')
    .join(', '),
);

function sum(...columns: string[]): RawBuilder<number> {
  return sql<number>`(${sql.raw(columns.map((column) => `coalesce(${column}, 0)`).join(' + '))})::float8`;
}

/** GET /dashboard/sync/metrics. */
export async function syncMetrics(db: Database, period: Period, limit: number, scope: Scope) {
  const periods = await readPeriods(db, period, limit, scope);
  return { period, metrics: periods.map((sums) => ({ ...sums, ...ratesOf(sums) })), summary: summaryOf(periods) };
}

/** GET /dashboard/sync/timeline: the current hour first. */
export async function syncTimeline(db: Database, hours: number, scope: Scope) {
  const periods = await readPeriods(db, 'hour', hours, scope);
  const { total_syncs, successful_syncs, failed_syncs } = summaryOf(periods);
  const timeline = periods.map((sums) => ({
    ...{ hour: sums.time, total: sums.successful_syncs + sums.failed_syncs, items: sums.items_synced },
    ...{
      successful: sums.successful_syncs,
      failed: sums.failed_syncs,
      average_duration: ratesOf(sums).average_duration,
    },
  }));
  return { period: `Last ${hours} hours`, total_syncs, successful_syncs, failed_syncs, timeline };
}

type Countable = Pick<Sums, 'successful_syncs' | 'failed_syncs' | 'duration_ms'>;

/** In percent with two digits, as the guide prints them; null and N/A where nothing happened. */
export function ratesOf({ successful_syncs, failed_syncs, duration_ms }: Countable) {
  const total_syncs = successful_syncs + failed_syncs;
  const percent = (n: number) => (total_syncs === 0 ? null : ((n / total_syncs) * 100).toFixed(2));
  return {
    ...{ total_syncs, success_rate: percent(successful_syncs), error_rate: percent(failed_syncs) },
    average_duration: total_syncs === 0 ? 'N/A' : `${Math.round(duration_ms / total_syncs)}ms`,
  };
}

function summaryOf(periods: Sums[]) {
  const keys = [
    'successful_syncs',
    'failed_syncs',
    'duration_ms',
    'items_synced',
    'received',
    'rejected',
    'dead',
  ] as const;
  const more = ['runs', 'records_pulled', 'pages_pulled'] as const;
  const total = Object.fromEntries(
    [...keys, ...more].map((key) => [key, periods.reduce((sum, period) => sum + period[key], 0)]),
  ) as Omit<Sums, 'time'>;
  return { ...total, ...ratesOf(total) };
}
