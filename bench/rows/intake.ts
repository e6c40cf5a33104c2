import { type Bench, count, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import { runSide, startSide } from '../side.ts';
import type { Store } from '../sides/api.ts';
import type { Load } from '../sides/load.ts';
import { median, pairedRatio } from '../stats.ts';

const WARM_UP = 500;

/** Webhooks over HTTP, signed and deduplicated, at 64 and 256 connections. */
export async function intakeRows(bench: Bench): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [connections, share] of [
    [64, 0.45],
    [256, 0.6],
  ] as const) {
    const results = await inTurns<Load>(bench, `intake at ${connections} connections`, {
      inbox: () => load(bench, 'inbox', connections),
      none: () => load(bench, 'none', connections),
      textbook: () => load(bench, 'textbook', connections),
      bare: () => load(bench, 'bare', connections),
    });
    const rates = (store: Store) => (results[store] ?? []).map(({ perSecond }) => perSecond);
    const line = (what: string, ours: Store, theirs: Store, least: number): Row => {
      const ratio = pairedRatio(rates(ours), rates(theirs));
      return {
        what: `${what}, ${connections} connections`,
        measured: `${two(ratio)} x (${count(median(rates(ours)))} : ${count(median(rates(theirs)))} requests/s)`,
        target: `at least ${least} x`,
        verdict: verdict(ratio >= least),
        values: { ours: rates(ours), theirs: rates(theirs), ratio },
      };
    };
    rows.push(line('intake vs a bare Fastify route with HMAC and parse', 'inbox', 'bare', share));
    rows.push(line('intake vs two INSERTs in a transaction, pool of 10', 'inbox', 'textbook', 3));
    rows.push(line('the app without a database vs that bare route', 'none', 'bare', 0.75));
  }
  return rows;
}

function load(bench: Bench, store: Store, connections: number, requests = bench.size.requests): Promise<Load> {
  return withDatabase(bench, 'tds', async (url) => {
    const api = await startSide<{ port: number }>('api', { url, store });
    const options = { port: api.ready.port, connections, requests, firstEvent: 0, warmUp: WARM_UP };
    return runSide<Load>('load', options).finally(() => api.stop());
  });
}

/** One webhook at a time over one connection, against one INSERT at a time. */
export async function oneConnectionRow(bench: Bench): Promise<Row> {
  const requests = Math.ceil(bench.size.requests / 20);
  const results = await inTurns<{ p50: number }>(bench, 'intake at 1 connection', {
    inbox: () => load(bench, 'inbox', 1, requests),
    insert: () => withDatabase(bench, 'empty', (url) => runSide('insert', { url, requests, warmUp: WARM_UP })),
  });
  const p50 = (name: string) => (results[name] ?? []).map((result) => result.p50);
  const more = median(p50('inbox').map((ours, turn) => ours - (p50('insert')[turn] ?? Number.NaN)));
  return {
    what: 'intake at 1 connection, p50, vs one single-row INSERT through pg',
    measured: `${two(more)} ms more (${two(median(p50('inbox')))} : ${two(median(p50('insert')))} ms)`,
    target: 'at most 1 ms more',
    verdict: verdict(more <= 1),
    values: { ours: p50('inbox'), theirs: p50('insert'), more },
  };
}
