import { type Bench, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import { runSide } from '../side.ts';
import { percentile } from '../stats.ts';

const PAUSE_MS = 20;

/** From the arrival of one event on an idle system to the start of its handler. */
export async function latencyRows(bench: Bench): Promise<Row[]> {
  const options = { events: bench.size.arrivals, pauseMs: PAUSE_MS };
  const results = await inTurns<number[]>(bench, 'arrival to handler', {
    tds: () => withDatabase(bench, 'tds', (url) => runSide('latency-tds', { url, ...options })),
    graphile: () => withDatabase(bench, 'empty', (url) => runSide('latency-graphile', { url, ...options })),
  });
  return [50, 95].map((p) => {
    const ours = percentile((results.tds ?? []).flat(), p);
    const theirs = percentile((results.graphile ?? []).flat(), p);
    return {
      what: `arrival to handler start, idle, p${p}, vs graphile-worker with LISTEN`,
      measured: `${two(ours / theirs)} x (${two(ours)} : ${two(theirs)} ms)`,
      target: 'at most 1 x',
      verdict: verdict(ours <= theirs),
      values: { ours, theirs },
    };
  });
}
