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
    const line = (what: string, theirs: Store, least?: number): Row => {
      const ratio = pairedRatio(rates('inbox'), rates(theirs));
      return {
        what: `intake at ${connections} connections ${what}`,
        measured: `${two(ratio)} x (${count(median(rates('inbox')))} : ${count(median(rates(theirs)))} requests/s)`,
        target: least ? `at least ${least} x` : '',
        verdict: least ? verdict(ratio >= least) : '',
        values: { ours: rates('inbox'), theirs: rates(theirs), ratio },
      };
    };
    rows.push(line('vs the same app without a database', 'none', share));
    rows.push(line('vs two INSERTs in a transaction, pool of 10', 'textbook', 3));
    rows.push(line('vs a bare Fastify route: JSON.parse, no signature', 'bare'));
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
  const ratio = pairedRatio(p50('inbox'), p50('insert'));
  return {
    what: 'intake at 1 connection, p50, vs one single-row INSERT through pg',
    measured: `${two(ratio)} x (${two(median(p50('inbox')))} : ${two(median(p50('insert')))} ms)`,
    target: 'at most 1.3 x',
    verdict: verdict(ratio <= 1.3),
    values: { ours: p50('inbox'), theirs: p50('insert'), ratio },
  };
}
