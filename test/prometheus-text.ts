/** A strict reader of the Prometheus text format 0.0.4: anything that is not of it throws. */

export type Series = { name: string; labels: Record<string, string>; value: number };
export type Scrape = {
  /** TYPE and HELP by metric. */
  metrics: Map<string, { type: string; help: string }>;
  series: Series[];
  /** The sum of all series of this name whose labels include these. */
  sum(name: string, labels?: Record<string, string>): number;
};

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(?:,|$)/;

export function parseScrape(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const metrics: Scrape['metrics'] = new Map();
  const series: Series[] = [];
  let help: [name: string, help: string] | undefined;
  let current = '';
  for (const line of text.split('\n').filter(Boolean)) {
    if (line.startsWith('# HELP ')) help = cut(line.slice(7));
    else if (line.startsWith('# TYPE ')) {
      const [name, type] = cut(line.slice(7));
      if (metrics.has(name)) throw new Error(`${name} comes twice`);
      if (!NAME.test(name) || help?.[0] !== name || help[1] === '') throw new Error(`${name} has no HELP before it`);
      metrics.set(name, { type, help: help[1] });
      current = name;
    } else {
      const sample = readSample(line);
      if (!namesOf(current, metrics.get(current)?.type).includes(sample.name)) throw new Error(`misplaced: ${line}`);
      series.push(sample);
    }
  }
  const keys = series.map(({ name, labels }) => name + JSON.stringify(Object.entries(labels).sort()));
  if (new Set(keys).size !== keys.length) throw new Error('a series comes twice');
  return { metrics, series, sum: (name, labels = {}) => sumOf(series, name, labels) };
}

function sumOf(series: Series[], name: string, labels: Record<string, string>): number {
  return series
    .filter((one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((sum, { value }) => sum + value, 0);
}

function namesOf(metric: string, type?: string): string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => metric + suffix) : [metric];
}

function cut(text: string): [string, string] {
  const space = text.indexOf(' ');
  return [text.slice(0, space), text.slice(space + 1)];
}

function readSample(line: string): Series {
  const [, name = '', inner = '', value = ''] = SAMPLE.exec(line) ?? [];
  if (name === '') throw new Error(`no sample: ${line}`);
  const number = value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value);
  if (Number.isNaN(number)) throw new Error(`no number: ${line}`);
  return { name, labels: readLabels(inner, line), value: number };
}

function readLabels(inner: string, line: string): Record<string, string> {
  const labels: Record<string, string> = {};
  for (let rest = inner; rest !== ''; ) {
    const [all, name = '', value = ''] = LABEL.exec(rest) ?? [];
    if (all === undefined || name in labels) throw new Error(`unreadable labels: ${line}`);
    labels[name] = value.replace(/\\(.)/g, (_, escaped: string) => (escaped === 'n' ? '\n' : escaped));
    rest = rest.slice(all.length);
  }
  return labels;
}
