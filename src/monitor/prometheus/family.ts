/** One metric of GET /metrics with all its values, as prom-client's `getMetricsAsJSON` gives it. */

export type Labels = Record<string, string>;

export type Sample = {
  labels: Labels;
  value: number;
  /** Of a histogram: its name with _bucket, _sum or _count. */
  metricName?: string;
};

export type Family = {
  name: string;
  help: string;
  type: 'counter' | 'gauge' | 'histogram';
  values: Sample[];
  aggregator: 'first';
};

export function family(name: string, type: Family['type'], help: string, values: Sample[]): Family {
  return { name, help, type, values, aggregator: 'first' };
}

/** A gauge; a plain number has no labels, and null is unknown: no sample at all. */
export function gauge(name: string, help: string, value: number | null | Sample[]): Family {
  return family(name, 'gauge', help, samplesOf(value));
}

/** A counter; a plain number has no labels. */
export function counter(name: string, help: string, value: number | Sample[]): Family {
  return family(name, 'counter', help, samplesOf(value));
}

function samplesOf(value: number | null | Sample[]): Sample[] {
  if (Array.isArray(value)) return value;
  return value === null ? [] : [{ labels: {}, value }];
}

/** Observations by upper limit, not yet summed up. */
export type Buckets = { le: number; count: number }[];

/** The samples of one histogram with these labels: cumulative buckets, sum and count. */
export function histogramSamples(
  name: string,
  labels: Labels,
  limits: readonly number[],
  observed: { buckets: Buckets; sum: number },
): Sample[] {
  const upTo = (limit: number) => observed.buckets.reduce((sum, { le, count }) => sum + (le <= limit ? count : 0), 0);
  const all = upTo(Number.POSITIVE_INFINITY);
  const bucket = (le: string, value: number) => ({ metricName: `${name}_bucket`, labels: { ...labels, le }, value });
  return [
    ...limits.map((limit) => bucket(String(limit), upTo(limit))),
    bucket('+Inf', all),
    { metricName: `${name}_sum`, labels, value: observed.sum },
    { metricName: `${name}_count`, labels, value: all },
  ];
}
