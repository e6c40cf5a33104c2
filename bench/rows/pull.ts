/** A first load from the stand-in for Zoho Books, against the bare upserts of the same records. */
import { type Bench, count, inTurns, type Row, two, verdict, withDatabase } from '../bench.ts';
import { runSide, startSide } from '../side.ts';
import type { Pulled } from '../sides/pull.ts';
import { median, pairedRatio } from '../stats.ts';

const MULTI_ROW = 500;
const LARGE = 200_000;
const FLAT = 1.1;

export async function pullRows(bench: Bench): Promise<Row[]> {
  const items = bench.size.jobs;
  const upserts = (batch: number) => () =>
    withDatabase(bench, 'tds', (url) => runSide<{ perSecond: number }>('upsert-items', { url, items, batch }));
  const results = await inTurns<{ perSecond: number }>(bench, 'pull', {
    pull: () => pullOf(bench, items),
    single: upserts(1),
    multi: upserts(MULTI_ROW),
  });
  const rates = (name: string) => (results[name] ?? []).map(({ perSecond }) => perSecond);
  const row = (what: string, ours: number[], theirs: number[]): Row => ({
    what: `SyncAll of ${count(items)} items into the mirror vs ${what}`,
    measured: `${two(pairedRatio(ours, theirs))} x (${count(median(ours))} : ${count(median(theirs))} records/s)`,
    ...{ target: '', verdict: '', values: { ours, theirs, ratio: pairedRatio(ours, theirs) } },
  });
  return [
    row('single-row upserts', rates('pull'), rates('single')),
    row(`upserts of ${MULTI_ROW} rows`, rates('pull'), rates('multi')),
  ];
}

/** Flat: the median of the second half of the samples is at most a tenth above that of the first. */
export async function pullMemoryRow(bench: Bench): Promise<Row> {
  bench.progress(`memory of a pull of ${count(LARGE)} records`);
  const pulled = await pullOf(bench, LARGE);
  const { maxMb, firstHalfMb, secondHalfMb } = pulled;
  return {
    what: `memory of a worker that pulls and mirrors ${count(LARGE)} records`,
    measured: `${count(maxMb)} MB at most (halves: ${count(firstHalfMb)}, ${count(secondHalfMb)})`,
    target: `flat: second half at most ${FLAT} x the first`,
    verdict: verdict(secondHalfMb <= firstHalfMb * FLAT),
    values: pulled,
  };
}

async function pullOf(bench: Bench, items: number): Promise<Pulled> {
  const zoho = await startSide<Record<string, string>>('zoho', { items });
  try {
    return await withDatabase(bench, 'tds', (url) => runSide<Pulled>('pull', { url, items, zoho: zoho.ready }));
  } finally {
    await zoho.stop();
  }
}
