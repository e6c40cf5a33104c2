import { type Bench, count, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import { PAYLOAD_BYTES } from '../invoice.ts';
import { runSide } from '../side.ts';
import type { Drained, DrainOptions } from '../sides/drain-tds.ts';
import { median, pairedRatio } from '../stats.ts';

type Result = { rates: number[]; wal: number[] };
type Name = 'tds' | 'shared' | 'graphile' | 'pgboss' | 'bullmq';

const WAL_TARGET = 1.5 * PAYLOAD_BYTES + 1024;

/** No-op jobs from a preloaded queue, one process, against the peers. */
export async function drainRows(bench: Bench): Promise<Row[]> {
  const { size, redis } = bench;
  const { jobs } = size;
  const ours = (options: Partial<DrainOptions>) => () =>
    withDatabase(bench, 'tds', (url) => runSide<Drained>('drain-tds', { url, jobs, ...options }));
  const peer = (name: string) => () =>
    withDatabase(bench, 'empty', (url) => runSide<Drained>(`drain-${name}`, { url, jobs }));
  const results = await inTurns<Drained>(bench, 'drain', {
    tds: ours({}),
    graphile: peer('graphile'),
    pgboss: peer('pgboss'),
    shared: ours({ sharedPercent: 10 }),
    ...(redis && { bullmq: () => runSide<Drained>('drain-bullmq', { redisUrl: redis.url, jobs }) }),
  });
  const found = Object.fromEntries(Object.entries(results).map(([name, drained]) => [name, resultOf(drained)]));
  return [
    against(found, 'tds', 'graphile', 'drain, no-op, vs graphile-worker tuned', 2),
    against(found, 'tds', 'pgboss', 'drain, no-op, vs pg-boss fetch loop 500 x 2', 2),
    against(found, 'tds', 'bullmq', 'drain, no-op, vs BullMQ on Redis, concurrency 100', 3),
    against(found, 'shared', 'graphile', 'drain, 10 % sharing entities, vs graphile-worker tuned', 1.5),
  ];
}

function resultOf(drained: Drained[]): Result {
  return { rates: drained.map(({ perSecond }) => perSecond), wal: drained.map(({ walPerJob }) => walPerJob) };
}

function against(found: Record<string, Result>, ours: Name, theirs: Name, what: string, times: number): Row {
  const [we, they] = [found[ours], found[theirs]];
  const target = `at least ${times} x`;
  if (!we || !they) return { what, measured: 'skipped: no redis-server', target, verdict: 'skipped', values: {} };
  const ratio = pairedRatio(we.rates, they.rates);
  const measured = `${two(ratio)} x (${count(median(we.rates))} : ${count(median(they.rates))} jobs/s)`;
  return {
    what,
    measured,
    target,
    verdict: verdict(ratio >= times),
    values: { ours: we.rates, theirs: they.rates, ratio },
  };
}

/** WAL from intake to completed, nothing in between: the first checkpoint's full-page writes are not counted twice. */
export async function walRow(bench: Bench): Promise<Row> {
  const { jobs } = bench.size;
  const results = await inTurns<Drained>(bench, 'WAL', {
    tds: () => withDatabase(bench, 'tds', (url) => runSide('drain-tds', { url, jobs, flowing: true })),
  });
  const intake = median((results.tds ?? []).map(({ fillWalPerJob }) => fillWalPerJob));
  const drain = median((results.tds ?? []).map(({ walPerJob }) => walPerJob));
  return {
    what: 'WAL per event, intake to completed',
    measured: `${count(intake + drain)} bytes (${count(intake)} + ${count(drain)})`,
    target: `at most ${count(WAL_TARGET)}`,
    verdict: verdict(intake + drain <= WAL_TARGET),
    values: { intake, drain },
  };
}

/** The mirror with its queue, against inbox and mirror rows written straight from memory. */
export async function mirrorRows(bench: Bench): Promise<Row[]> {
  const { jobs } = bench.size;
  const results = await inTurns<Partial<Drained> & { perSecond: number }>(bench, 'mirror', {
    tds: () => withDatabase(bench, 'tds', (url) => runSide('drain-tds', { url, jobs, handler: 'mirror' })),
    bare: () => withDatabase(bench, 'tds', (url) => runSide('bare-upsert', { url, jobs })),
  });
  const drain = (results.tds ?? []).map(({ perSecond }) => perSecond);
  const whole = (results.tds ?? []).map(({ perSecond, fillPerSecond = 0 }) => 1 / (1 / perSecond + 1 / fillPerSecond));
  const bare = (results.bare ?? []).map(({ perSecond }) => perSecond);
  const ratio = pairedRatio(drain, bare);
  const wholeRatio = pairedRatio(whole, bare);
  const rates = (ours: number[]) => `(${count(median(ours))} : ${count(median(bare))} records/s)`;
  return [
    {
      what: 'mirror of 1.5 KB invoices vs bare upsert plus inbox insert, no queue',
      measured: `${two(ratio)} x ${rates(drain)}`,
      target: 'at least 0.5 x',
      verdict: verdict(ratio >= 0.5),
      values: { ours: drain, theirs: bare, ratio },
    },
    {
      what: '… the same with our intake counted too, one after the other',
      measured: `${two(wholeRatio)} x ${rates(whole)}`,
      target: '',
      verdict: '',
      values: { ours: whole, theirs: bare, ratio: wholeRatio },
    },
  ];
}
