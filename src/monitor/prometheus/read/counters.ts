import type { Database } from '../../../db/database.ts';
import { labelsKey } from '../../alerts/rules.ts';
import { COUNTED_LIST } from '../counted.ts';
import { type Family, family, type Labels, type Sample } from '../family.ts';

export type CounterRow = { name: string; labels: Labels; value: number };

/** All rows of `tds_counters`: some hundreds, however much was counted. */
export async function readCounters(db: Database): Promise<CounterRow[]> {
  return db.selectFrom('tds_counters').select(['name', 'labels', 'value']).execute();
}

/** What the processes count, of the whole fleet. @param rows also such as are counted elsewhere */
export function countedFamilies(rows: readonly CounterRow[]): Family[] {
  return COUNTED_LIST.map(({ name, help, type, zero = [] }) => {
    const of = type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name];
    const samples = of
      .flatMap((metricName) => rows.filter((row) => row.name === metricName))
      .map(({ name: metricName, labels, value }) => ({ metricName, labels, value }));
    return family(name, type, help, type === 'histogram' ? bySeries(samples) : withZeros(name, samples, zero));
  });
}

function withZeros(name: string, samples: Sample[], zero: readonly Labels[]): Sample[] {
  const known = new Set(samples.map(({ labels }) => labelsKey(labels)));
  const missing = zero.filter((labels) => !known.has(labelsKey(labels)));
  return [...samples, ...missing.map((labels) => ({ metricName: name, labels, value: 0 }))];
}

/** Readers expect the buckets of a series together, and in order. */
function bySeries(samples: Sample[]): Sample[] {
  const series = Map.groupBy(samples, ({ labels: { le: _le, ...labels } }) => labelsKey(labels));
  return [...series.values()].flatMap((ofOne) => ofOne.toSorted((a, b) => limitOf(a) - limitOf(b)));
}

/** Sum and count have no limit, and stand last. */
function limitOf({ labels: { le } }: Sample): number {
  if (le === undefined) return Number.POSITIVE_INFINITY;
  return le === '+Inf' ? Number.MAX_VALUE : Number(le);
}
