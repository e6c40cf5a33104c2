/** What an operator sets off beside the daily work: it must not be felt there. */
import { type Bench, count, type Row, two, verdict, withDatabase } from '../bench.ts';
import { runSide, startSide } from '../side.ts';
import type { BulkRetry } from '../sides/bulk-retry.ts';
import type { Exported } from '../sides/export.ts';
import type { Load } from '../sides/load.ts';
import { median, percentile } from '../stats.ts';

const EXPORT_MB = 150;
const TWICE = 2;
/** The run of 100,000 lasts at least 100 s. */
const RETRIES_A_SECOND = 1000;
const PAUSE_MS = 20;
const INTAKE_CONNECTIONS = 4;

/** Of every event with its payload: ten times the jobs of a drain. */
export async function exportRow(bench: Bench): Promise<Row> {
  const rows = bench.size.jobs * 10;
  return withDatabase(bench, 'tds', async (url) => {
    bench.progress(`export: making ${count(rows)} events`);
    await runSide('pending', { url, pending: rows });
    bench.progress(`export of ${count(rows)} events`);
    const exported = await runSide<Exported>('export', { url });
    const { maxMb, idleMb, firstHalfMb, secondHalfMb, megabytes, seconds } = exported;
    const grown = maxMb - idleMb;
    return {
      what: `memory that an export of ${count(exported.rows)} events (${count(megabytes)} MB) takes in the API`,
      measured: `${count(grown)} MB over ${count(idleMb)} MB idle (halves: ${count(firstHalfMb)}, ${count(secondHalfMb)}; ${count(seconds)} s)`,
      target: `below ${EXPORT_MB} MB`,
      verdict: verdict(grown < EXPORT_MB && exported.rows === rows),
      values: exported,
    };
  });
}

/** Signed webhooks on an idle service, and on one whose purge deletes ten times the jobs of a drain. */
export async function purgeRow(bench: Bench): Promise<Row> {
  const events = bench.size.jobs * 10;
  return withDatabase(bench, 'tds', async (url) => {
    bench.progress(`purge: making ${count(events)} old events`);
    await runSide('old-events', { url, events });
    const intake = await intakeOf(bench, url);
    const idle: Load[] = [];
    for (let turn = 0; turn < bench.size.turns; turn += 1) idle.push(await intake.load());
    bench.progress(`purge of ${count(events)} events beside intake`);
    let over = false;
    const purging = runSide<{ seconds: number; deleted: { events: number } }>('purge', { url }).finally(() => {
      over = true;
    });
    const beside: Load[] = [];
    while (!over) beside.push(await intake.load());
    const { seconds, deleted } = await purging;
    await intake.stop();
    const p95 = (loads: Load[]) => loads.map((load) => load.p95);
    const ratio = median(p95(beside)) / median(p95(idle));
    return {
      what: `intake p95 beside the purge of ${count(deleted.events)} events, vs without it`,
      measured: `${two(ratio)} x (${two(median(p95(beside)))} : ${two(median(p95(idle)))} ms; purge ${count(seconds)} s)`,
      target: `at most ${TWICE} x`,
      verdict: verdict(ratio <= TWICE && deleted.events === events),
      values: { beside: p95(beside), idle: p95(idle), ratio, seconds },
    };
  });
}

async function intakeOf(bench: Bench, url: string) {
  const api = await startSide<{ port: number }>('api', { url, store: 'inbox' });
  const requests = Math.ceil(bench.size.requests / 10);
  let firstEvent = 0;
  const load = () => {
    const options = { port: api.ready.port, connections: INTAKE_CONNECTIONS, requests, firstEvent, warmUp: 100 };
    firstEvent += requests + options.warmUp;
    return runSide<Load>('load', options);
  };
  return { load, stop: () => api.stop() };
}

export async function bulkRetryRow(bench: Bench): Promise<Row> {
  const letters = bench.size.jobs;
  bench.progress(`retry of ${count(letters)} dead letters beside live events`);
  const options = { letters, ratePerSecond: RETRIES_A_SECOND, events: bench.size.arrivals, pauseMs: PAUSE_MS };
  const { idle, beside, seconds, status } = await withDatabase(bench, 'tds', (url) =>
    runSide<BulkRetry>('bulk-retry', { url, ...options }),
  );
  const ratio = percentile(beside, 95) / percentile(idle, 95);
  return {
    what: `wait of live events beside the retry of ${count(letters)} dead letters, p95, vs idle`,
    measured: `${two(ratio)} x (${two(percentile(beside, 95))} : ${two(percentile(idle, 95))} ms; retry ${count(seconds)} s)`,
    target: `at most ${TWICE} x`,
    verdict: verdict(ratio <= TWICE && status === 'completed'),
    values: { beside: percentile(beside, 95), idle: percentile(idle, 95), ratio, seconds },
  };
}
