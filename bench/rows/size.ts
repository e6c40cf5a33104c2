/** What grows, and must not slow anything down: history, old snapshots, memory. */
import { type Bench, count, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import type { Plan } from '../explain.ts';
import { runSide } from '../side.ts';
import type { Dashboard, Read } from '../sides/dashboard.ts';
import type { Drained } from '../sides/drain-tds.ts';
import type { Memory } from '../sides/memory.ts';
import type { SlowHandler } from '../sides/slow-handler.ts';
import type { Snapshot } from '../sides/snapshot.ts';
import { median, pairedRatio } from '../stats.ts';

const PENDING_IN_PLANS = 10_000;
/** Reads of the dashboard that are named. */
const SLOWEST = 5;
const POLLED_EVERY_MS = 5000;
/** What an open console asks for each time; the rest of it less often. */
const CONSOLE = ['metrics', 'recent-events', 'dead-letter', 'dead-letter/retries', 'workflows'].map(
  (name) => `/dashboard/${name}`,
);

/** Drain, dashboard and query plans on tables with millions of completed events. */
export async function historyRows(bench: Bench): Promise<{ rows: Row[]; plans: Record<string, Plan> }> {
  const { completed, dashboardRequests } = bench.size;
  return withDatabase(bench, 'tds', async (url) => {
    bench.progress(`history: making ${count(completed)} completed events`);
    await runSide('history', { url, completed });
    bench.progress('history: dashboard');
    const dashboard = await runSide<Dashboard>('dashboard', { url, requests: dashboardRequests });
    const drain = await drainRow(bench, url);
    bench.progress('history: query plans');
    const plans = await runSide<Record<string, Plan>>('plans', { url, pending: PENDING_IN_PLANS });
    return { rows: [drain, ...dashboardRows(dashboard, completed)], plans };
  });
}

async function drainRow(bench: Bench, history: string): Promise<Row> {
  const { jobs, completed } = bench.size;
  let first = 0;
  const results = await inTurns<Drained>(bench, 'drain with history', {
    empty: () => withDatabase(bench, 'tds', (url) => runSide('drain-tds', { url, jobs })),
    history: () => {
      first += jobs;
      return runSide('drain-tds', { url: history, jobs, first });
    },
  });
  const rates = (name: string) => (results[name] ?? []).map(({ perSecond }) => perSecond);
  const ratio = pairedRatio(rates('history'), rates('empty'));
  return {
    what: `drain with ${count(completed)} completed rows vs empty tables`,
    measured: `${two(ratio)} x (${count(median(rates('history')))} : ${count(median(rates('empty')))} jobs/s)`,
    target: 'at least 0.9 x',
    verdict: verdict(ratio >= 0.9),
    values: { ours: rates('history'), theirs: rates('empty'), ratio },
  };
}

function dashboardRows({ stats, metrics, exact, others }: Dashboard, completed: number): Row[] {
  const row = (name: string, { p95, cpuMs }: Read): Row => ({
    what: `${name} at ${count(completed)} completed rows, p95`,
    measured: `${two(p95)} ms, ${exact ? 'exact' : 'NOT exact'}`,
    target: 'below 50 ms, exact',
    verdict: verdict(p95 < 50 && exact),
    values: { p95, cpuMs, exact },
  });
  const slowest = others.slice(0, SLOWEST);
  const worst = slowest[0]?.p95 ?? 0;
  const rest: Row = {
    what: `slowest of ${others.length} other reads of the dashboard, 10,000 dead letters and 1 million failures, p95`,
    measured: slowest.map(({ path, p95 }) => `${two(p95)} ms ${path}`).join(', '),
    target: 'below 50 ms',
    verdict: verdict(worst < 50),
    values: Object.fromEntries(others.map(({ path, p95 }) => [path, p95])),
  };
  return [row('queue-stats', stats), row('metrics', metrics), rest, polledRow([stats, metrics, ...others])];
}

function polledRow(reads: Read[]): Row {
  const share = ({ cpuMs }: Read) => (100 * cpuMs) / POLLED_EVERY_MS;
  const dearest = reads.toSorted((a, b) => b.cpuMs - a.cpuMs).slice(0, SLOWEST);
  const ofConsole = reads.filter(({ path }) => CONSOLE.includes(path)).reduce((sum, read) => sum + share(read), 0);
  return {
    what: 'share of a core of API and PostgreSQL, polled every 5 s: the console, and the dearest reads',
    measured: [`${two(ofConsole)} % console`, ...dearest.map((read) => `${two(share(read))} % ${read.path}`)].join(
      ', ',
    ),
    target: 'below 2 %',
    verdict: verdict(Math.max(ofConsole, ...reads.map(share)) < 2),
    values: { console: ofConsole, ...Object.fromEntries(reads.map((read) => [read.path, read.cpuMs])) },
  };
}

/** Buffers do not depend on the machine: one run is enough. */
export async function snapshotRow(bench: Bench): Promise<Row> {
  const jobs = bench.size.snapshotJobs;
  bench.progress(`old snapshot: ${count(jobs)} jobs pass`);
  const { before, after, fromStart } = await withDatabase(bench, 'tds', (url) =>
    runSide<Snapshot>('snapshot', { url, jobs }),
  );
  const took = after.entity.buffers;
  return {
    what: `claim of 1 under an old snapshot, ${count(jobs)} jobs later`,
    measured: `${took} buffers to take it (${before.entity.buffers} before); its event and payload ${after.event.buffers}; from the queue's start ${fromStart.entity.buffers}`,
    target: 'at most 20 buffers',
    verdict: verdict(took <= 20),
    values: {
      take: took,
      before: before.entity.buffers,
      fromStart: fromStart.entity.buffers,
      event: after.event.buffers,
    },
  };
}

const FLAT = 1.1;

/** Flat: the median of the second half of the samples is at most a tenth above that of the first. */
export async function memoryRow(bench: Bench): Promise<Row> {
  const jobs = bench.size.memoryJobs;
  return withDatabase(bench, 'tds', async (url) => {
    bench.progress(`memory: making ${count(jobs)} waiting events`);
    await runSide('pending', { url, pending: jobs });
    bench.progress(`memory: draining ${count(jobs)} events`);
    const memory = await runSide<Memory>('memory', { url });
    const { maxMb, firstHalfMb, secondHalfMb } = memory;
    return {
      what: `memory of a worker that drains ${count(jobs)} events`,
      measured: `${count(maxMb)} MB at most (halves: ${count(firstHalfMb)}, ${count(secondHalfMb)})`,
      target: 'below 250 MB and flat',
      verdict: verdict(maxMb < 250 && secondHalfMb <= firstHalfMb * FLAT),
      values: memory,
    };
  });
}

/** The load test of the operations guide. */
export async function loadTestRows(bench: Bench): Promise<Row[]> {
  bench.progress('load test: 50 ms handler');
  const load = await withDatabase(bench, 'tds', (url) =>
    runSide<SlowHandler>('slow-handler', { url, enqueue: bench.size.requests, process: 500 }),
  );
  const row = (what: string, measured: string, target: string, met: boolean): Row => ({
    ...{ what: `load test: ${what}`, measured, target, verdict: verdict(met), values: load },
  });
  const slowest = Math.max(load.enqueueP95Ms, load.processP95Ms);
  return [
    row('enqueue', `${count(load.enqueuePerSecond)}/s`, 'above 1,000/s', load.enqueuePerSecond > 1000),
    row('processing, 50 ms handler', `${count(load.processPerSecond)}/s`, 'above 50/s', load.processPerSecond > 50),
    row('memory per event', `${two(load.kbPerEvent)} KB`, 'below 10 KB', load.kbPerEvent < 10),
    row(
      'p95, enqueue / processing',
      `${two(load.enqueueP95Ms)} / ${two(load.processP95Ms)} ms`,
      'below 500 ms',
      slowest < 500,
    ),
  ];
}
