import { type Bench, count, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import { PAYLOAD_BYTES } from '../invoice.ts';
import { runSide } from '../side.ts';
import type { Drained, DrainOptions } from '../sides/drain-tds.ts';
import type { HoldsBack } from '../sides/holds-back.ts';
import { median, pairedRatio } from '../stats.ts';

const WAL_TARGET = 1.5 * PAYLOAD_BYTES + 1024;

/** No-op jobs from a preloaded queue, one process, against the peers: first those that keep the same order. */
export async function drainRows(bench: Bench): Promise<Row[]> {
  const { size, redis } = bench;
  const { jobs } = size;
  const ours = (options: Partial<DrainOptions>) => () =>
    withDatabase(bench, 'tds', (url) => runSide<Drained>('drain-tds', { url, jobs, ...options }));
  const peer = (name: string, options: object) => () =>
    withDatabase(bench, 'empty', (url) => runSide<Drained>(`drain-${name}`, { url, jobs, ...options }));
  const rates = await ratesInTurns(bench, 'drain', {
    ours: ours({}),
    graphileInOrder: peer('graphile', { ordered: true }),
    graphile: peer('graphile', {}),
    pgbossInOrder: peer('pgboss', { ordered: true }),
    pgboss: peer('pgboss', {}),
    shared: ours({ sharedPercent: 10 }),
    ...(redis && { bullmq: () => runSide<Drained>('drain-bullmq', { redisUrl: redis.url, jobs }) }),
  });
  const against = (peerName: string, what: string, least: number, target = `at least ${least} x`) =>
    ratioRow({ what, ours: rates.ours, theirs: rates[peerName], unit: 'jobs/s', least, target });
  return [
    against('graphileInOrder', 'drain vs graphile-worker tuned, one queue name per entity', 1.3),
    against('pgbossInOrder', 'drain vs pg-boss fetch loop, key_strict_fifo', 2),
    against('graphile', 'drain vs graphile-worker tuned, without order', 1, 'at least 1 x (never below 0.85 x)'),
    against('pgboss', 'drain vs pg-boss fetch loop 500 x 2, without order', 1.3),
    against('bullmq', 'drain vs BullMQ on Redis, concurrency 100, without order', 2),
    ratioRow({
      ...{ what: 'drain, 10 % of events sharing entities, vs none', ours: rates.shared, theirs: rates.ours },
      ...{ unit: 'jobs/s', least: 0.9 },
    }),
    await holdsBackRow(bench),
  ];
}

async function ratesInTurns(
  bench: Bench,
  what: string,
  sides: Record<string, () => Promise<{ perSecond: number }>>,
): Promise<Record<string, number[]>> {
  const results = await inTurns(bench, what, sides);
  return Object.fromEntries(
    Object.entries(results).map(([name, found]) => [name, found.map(({ perSecond }) => perSecond)]),
  );
}

type Comparison = {
  what: string;
  ours: number[] | undefined;
  /** Undefined: could not be run. */
  theirs: number[] | undefined;
  unit: string;
  least: number;
  target?: string;
};

function ratioRow({ what, ours = [], theirs, unit, least, target = `at least ${least} x` }: Comparison): Row {
  if (!theirs) return { what, measured: 'skipped: no redis-server', target, verdict: 'skipped', values: {} };
  const ratio = pairedRatio(ours, theirs);
  const measured = `${two(ratio)} x (${count(median(ours))} : ${count(median(theirs))} ${unit})`;
  return { what, measured, target, verdict: verdict(ratio >= least), values: { ours, theirs, ratio } };
}

/** Order is only kept if a failed event holds back the later ones of its entity. */
async function holdsBackRow(bench: Bench): Promise<Row> {
  const ask = (peer: HoldsBack['peer']) =>
    withDatabase(bench, peer === 'tds' ? 'tds' : 'empty', (url) => runSide<boolean>('holds-back', { url, peer }));
  bench.progress('a failing event: who holds back its entity');
  const values = { ours: await ask('tds'), graphile: await ask('graphile'), pgboss: await ask('pgboss') };
  const word = (held: boolean) => (held ? 'yes' : 'no');
  return {
    what: 'a failed event holds back its entity until it is tried again',
    measured: `ours ${word(values.ours)}, graphile-worker with queue names ${word(values.graphile)}, pg-boss key_strict_fifo ${word(values.pgboss)}`,
    target: 'ours yes',
    verdict: verdict(values.ours),
    values,
  };
}

/** What a second worker process adds on this machine. */
export async function workersRow(bench: Bench): Promise<Row> {
  const { jobs } = bench.size;
  const drainBy = (workers: number) => () =>
    withDatabase(bench, 'tds', (url) => runSide<{ perSecond: number }>('drain-workers', { url, jobs, workers }));
  const { two: ours, one: theirs } = await ratesInTurns(bench, 'workers', { one: drainBy(1), two: drainBy(2) });
  return ratioRow({ what: 'drain by two worker processes vs one', ours, theirs, unit: 'jobs/s', least: 1.3 });
}

const LARGE_BYTES = 950_000;
const SMALL_BYTES = 25_000;
const MAX_TEMP_BYTES = 2 ** 30;

/** Byte for byte, a few large deliveries drain at least half as fast as many small ones, and fill no disk. */
export async function largeRow(bench: Bench): Promise<Row> {
  const { largeDeliveries, largeTurns } = bench.size;
  const bytes = largeDeliveries * LARGE_BYTES;
  const drain = (payloadBytes: number) => () =>
    withDatabase(bench, 'tds', (url) =>
      runSide<Drained>('drain-tds', { url, jobs: Math.round(bytes / payloadBytes), payloadBytes }),
    );
  const found = await inTurns({ ...bench, size: { ...bench.size, turns: largeTurns } }, 'large deliveries', {
    large: drain(LARGE_BYTES),
    small: drain(SMALL_BYTES),
  });
  const megabytes = (name: string, size: number) =>
    (found[name] ?? []).map(({ perSecond }) => (perSecond * size) / 1e6);
  const temp = Math.max(...(found.large ?? []).map(({ tempBytes = 0 }) => tempBytes));
  const row = ratioRow({
    what: `large deliveries: ${count(largeDeliveries)} x 950 kB vs ${count(bytes / SMALL_BYTES)} x 25 kB`,
    ...{ ours: megabytes('large', LARGE_BYTES), theirs: megabytes('small', SMALL_BYTES), unit: 'MB/s' },
    ...{ least: 0.5, target: 'at least 0.5 x, temp files below 1 GB' },
  });
  const met = row.verdict === 'met' && temp < MAX_TEMP_BYTES;
  return { ...row, measured: `${row.measured}, temp files ${count(temp / 1e6)} MB`, verdict: verdict(met) };
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
      target: 'at least 1 x',
      verdict: verdict(ratio >= 1),
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
