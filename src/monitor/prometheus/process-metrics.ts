import { Counter, Histogram, type Metric, Registry } from 'prom-client';
import { COUNTED_LIST, type CountedName, type CounterName, type HistogramName, type LabelsOf } from './counted.ts';
import type { Labels } from './family.ts';

/** An addition to one row of `tds_counters`. */
export type Delta = { name: string; labels: Labels; value: number };

/** The counters of one process. */
export class ProcessMetrics {
  readonly #registry = new Registry();
  readonly #metrics = new Map<CountedName, Metric>();
  /** What has been handed out already, by name and labels. */
  readonly #handedOut = new Map<string, number>();

  constructor() {
    const registers = [this.#registry];
    for (const { type, name, help, labelNames, buckets = [] } of COUNTED_LIST) {
      const metric =
        type === 'counter'
          ? new Counter({ name, help, labelNames, registers })
          : new Histogram({ name, help, labelNames, registers, buckets: [...buckets] });
      this.#metrics.set(name, metric);
    }
  }

  count<N extends CounterName>(name: N, labels: LabelsOf<N>, by = 1): void {
    (this.#metrics.get(name) as Counter).inc(labels, by);
  }

  observe<N extends HistogramName>(name: N, labels: LabelsOf<N>, seconds: number): void {
    (this.#metrics.get(name) as Histogram).observe(labels, seconds);
  }

  /** What has been counted since the last call; whoever calls must see to it that it is added. */
  async takeDeltas(): Promise<Delta[]> {
    const deltas: Delta[] = [];
    for (const { name, values } of await this.#registry.getMetricsAsJSON()) {
      for (const { value, labels, metricName = name } of values as (Delta & { metricName?: string })[]) {
        const delta = { name: metricName, labels: textual(labels), value };
        const key = `${metricName} ${JSON.stringify(delta.labels)}`;
        delta.value -= this.#handedOut.get(key) ?? 0;
        this.#handedOut.set(key, value);
        if (delta.value > 0) deltas.push(delta);
      }
    }
    return deltas;
  }
}

/** The limits of buckets are numbers. */
function textual(labels: Record<string, string | number>): Labels {
  return Object.fromEntries(Object.entries(labels).map(([name, value]) => [name, String(value)]));
}
