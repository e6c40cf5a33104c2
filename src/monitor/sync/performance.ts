/** How long it takes, and whether it takes longer than the week before. */
import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { RUNS } from './events.ts';
import { EVENT_SUMS, ratesOf } from './metrics.ts';

/** The latest runs that are looked at, as the guide has it. */
const SAMPLE = 100;
/** Slower than before: by half, and by more than a trifle. */
const SLOWER = 1.5;
const TRIFLE_MS = 50;
/** A week with fewer says nothing. */
const ENOUGH_RUNS = 5;
const ENOUGH_EVENTS = 100;

type Durations = Record<'min' | 'max' | 'average' | 'median' | 'p95', number | null>;
type Sample = Durations & { sync_type: string | null; sample_size: number; items: number };
type Weeks = { sync_type: string; before: number; before_ms: number | null; now: number; now_ms: number | null };

/** GET /dashboard/sync/performance. */
export async function syncPerformance(db: Database) {
  const [samples, runs, events, organizations, modules] = await Promise.all([
    readSamples(db),
    weeksOfRuns(db),
    weeksOfEvents(db),
    compare(db, sql`organization_id`),
    compare(db, sql`split_part(event_type, '.', 1)`),
  ]);
  const [all, ofType] = [
    samples.find(({ sync_type }) => sync_type === null),
    samples.filter((s) => s.sync_type !== null),
  ];
  const degradation = [...runs, ...events].map(judged);
  return {
    sample_size: all?.sample_size ?? 0,
    performance: durationsOf(all),
    items_processed: itemsOf(all),
    performance_by_type: Object.fromEntries(
      ofType.map((sample) => [
        sample.sync_type,
        { sample_size: sample.sample_size, ...durationsOf(sample), items_processed: itemsOf(sample) },
      ]),
    ),
    is_degraded: degradation.some(({ is_slower }) => is_slower === true),
    degradation,
    by_organization: organizations.map(({ key, ...rest }) => ({ organization_id: key, ...rest })),
    by_module: modules.map(({ key, ...rest }) => ({ module: key, ...rest })),
  };
}

const MS = sql`date_part('epoch', completed_at - started_at) * 1000`;

/** Of the latest successful runs: all of them, and by type. */
async function readSamples(db: Database): Promise<Sample[]> {
  const percentile = (p: number) => sql`percentile_cont(${sql.lit(p)}) within group (order by ms)::float8`;
  const { rows } = await sql<Sample>`
    with latest as (
      select sync_type, status, ${MS} as ms, (progress ->> 'records')::int as items
      from (select * from ${RUNS} r where status <> 'started' order by started_at desc, id desc limit ${SAMPLE}) r)
    select sync_type, count(*)::int as sample_size, min(ms)::float8 as min, max(ms)::float8 as max,
      avg(ms)::float8 as average, ${percentile(0.5)} as median, ${percentile(0.95)} as p95, sum(items)::float8 as items
    from latest where status = 'success' group by grouping sets ((), (sync_type)) order by sync_type nulls first`.execute(
    db,
  );
  return rows;
}

function durationsOf(sample: Sample | undefined): Durations {
  const of = (n: number | null | undefined) => (n === null || n === undefined ? null : Math.round(n));
  return {
    ...{ min: of(sample?.min), max: of(sample?.max), average: of(sample?.average) },
    ...{ median: of(sample?.median), p95: of(sample?.p95) },
  };
}

function itemsOf(sample: Sample | undefined) {
  const { sample_size = 0, items = 0 } = sample ?? {};
  return {
    total: items ?? 0,
    average: sample_size === 0 ? null : Math.round(((items ?? 0) / sample_size) * 100) / 100,
  };
}

const WEEK = sql`interval '7 days'`;
const WEEK_BEGAN = sql`date_trunc('day', now() - interval '6 days', 'UTC')`;

async function weeksOfRuns(db: Database): Promise<(Weeks & { enough: number })[]> {
  const { rows } = await sql<Weeks>`
    select sync_type, (count(*) filter (where not recent))::int as before, (count(*) filter (where recent))::int as now,
      (percentile_cont(0.5) within group (order by ms) filter (where not recent))::float8 as before_ms,
      (percentile_cont(0.5) within group (order by ms) filter (where recent))::float8 as now_ms
    from (select sync_type, ${MS} as ms, completed_at >= now() - ${WEEK} as recent from ${RUNS} r
      where status = 'success' and started_at >= now() - 2 * ${WEEK}) r
    group by sync_type order by sync_type`.execute(db);
  return rows.map((row) => ({ ...row, enough: ENOUGH_RUNS }));
}

/** Attempts at events: by the roll-ups per day, the current day included. */
async function weeksOfEvents(db: Database): Promise<(Weeks & { enough: number })[]> {
  const part = (what: string, recent: boolean): RawBuilder<number> =>
    sql`coalesce(sum(${sql.raw(what)}) filter (where starts_at ${recent ? sql`>=` : sql`<`} ${WEEK_BEGAN}), 0)::float8`;
  const attempts = 'completed + failed';
  const { rows } = await sql<{ before: number; now: number; before_us: number; now_us: number }>`
    select ${part(attempts, false)} as before, ${part(attempts, true)} as now, ${part('run_us', false)} as before_us,
      ${part('run_us', true)} as now_us
    from tds_metrics('day', ${WEEK_BEGAN} - ${WEEK}) m`.execute(db);
  return rows.map(({ before, now, before_us, now_us }) => ({
    ...{ sync_type: 'event', before, now, enough: ENOUGH_EVENTS },
    before_ms: before === 0 ? null : before_us / before / 1000,
    now_ms: now === 0 ? null : now_us / now / 1000,
  }));
}

/** `is_slower` is null where one of the weeks has too little to say. */
export function judged({ sync_type, before, before_ms, now, now_ms, enough }: Weeks & { enough: number }) {
  const known = before >= enough && now >= enough && before_ms !== null && now_ms !== null;
  const digits = (n: number | null) => (n === null ? null : Math.round(n * 100) / 100);
  return {
    ...{ sync_type, sample_size: now, sample_size_before: before },
    ...{ duration_ms: digits(now_ms), duration_ms_before: digits(before_ms) },
    ratio: known && before_ms > 0 ? digits(now_ms / before_ms) : null,
    is_slower: known ? now_ms > before_ms * SLOWER && now_ms - before_ms > TRIFLE_MS : null,
  };
}

type Compared = { key: string; completed: number; failed: number; dead: number; run_us: number };

/** The last seven days side by side, the busiest first. */
async function compare(db: Database, key: RawBuilder<unknown>) {
  const { rows } = await sql<Compared & { received: number; records: number }>`
    select key, completed::float8, failed::float8, dead::float8, run_us::float8, received::float8, records::float8
    from (select ${key} as key, ${EVENT_SUMS} from tds_metrics('day', ${WEEK_BEGAN}) m
      where organization_id <> '' group by 1) sums
    order by completed + failed desc, key limit 100`.execute(db);
  return rows.map(({ key, completed, failed, dead, run_us, received, records }) => ({
    ...{ key, received, successful_syncs: completed, failed_syncs: failed, dead, records_pulled: records },
    ...ratesOf({ successful_syncs: completed, failed_syncs: failed, duration_ms: run_us / 1000 }),
  }));
}
