/** The files for Prometheus and Grafana name nothing that is not exported. */
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { testApi } from './api/client.ts';
import { parseScrape } from './prometheus-text.ts';

const FOLDER = path.join(import.meta.dirname, '../monitoring');
const read = (file: string) => readFileSync(path.join(FOLDER, file), 'utf8');
const recording = read('prometheus/recording.yml');
const alerts = read('prometheus/alerts.yml');

const { api } = await testApi(t);
const exported = namesOf((await api.inject('/metrics')).body);
const recorded = [...recording.matchAll(/- record: (\S+)/g)].map(([, name = '']) => name);
/** What Prometheus knows by itself. */
const BUILT_IN = ['up'];

function namesOf(text: string): string[] {
  return [...parseScrape(text).metrics].flatMap(([name, { type }]) =>
    type === 'histogram' ? ['_bucket', '_sum', '_count'].map((suffix) => name + suffix) : [name],
  );
}

/** The expressions of a file of rules; this reads only as much YAML as these files use. */
function expressionsOf(rules: string): string[] {
  const found = rules.matchAll(/^ +expr: (?:>-\n((?: {10}\S.*\n)+)|([^>\n].*))/gm);
  return [...found].map(([, folded, one]) => folded ?? one ?? '');
}

/** The metrics that an expression reads. */
function metricsIn(expression: string): string[] {
  const bare = expression
    .replace(/"[^"]*"/g, '')
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring|group_left|group_right) *\([^)]*\)/g, ' ');
  return [...bare.matchAll(/[a-zA-Z_:][\w:]*/g)]
    .filter(({ 0: word, index }) => !OPERATORS.has(word) && !/^ *\(/.test(bare.slice(index + word.length)))
    .map(([word]) => word);
}
const OPERATORS = new Set(['and', 'or', 'unless', 'bool']);

t.test('the reader of expressions finds their metrics', async (t) => {
  const expression =
    'topk(5, sum by (route, le) (rate(a_total{x="b_total"}[5m]))) / on (job) c:d > 0 and time() - e_f > 2 * 86400';
  t.same(metricsIn(expression), ['a_total', 'c:d', 'e_f']);
});

for (const [file, rules] of Object.entries({ recording, alerts })) {
  t.test(`${file}.yml names only what is exported, or recorded`, async (t) => {
    const expressions = expressionsOf(rules);
    t.equal(expressions.length, [...rules.matchAll(/^ +expr:/gm)].length, 'every expression was read');
    for (const expression of expressions) isKnown(t, expression);
  });
}

type Panel = { title: string; targets: { expr: string }[] };

for (const file of readdirSync(path.join(FOLDER, 'grafana'))) {
  t.test(`${file} names only what is exported, or recorded`, async (t) => {
    const panels: Panel[] = JSON.parse(read(`grafana/${file}`)).panels;
    t.ok(panels.length > 5);
    for (const { title, targets } of panels) {
      t.ok(targets.length > 0, title);
      for (const { expr } of targets) isKnown(t, expr);
    }
  });
}

t.test('the operations dashboard has the six panels of the sync engine runbook', async (t) => {
  const titles = JSON.parse(read('grafana/operations.json')).panels.map(({ title }: Panel) => title);
  const six = ['Operations rate', 'Queue depth', 'Processing latency', 'Success rate', 'Circuit breaker status'];
  for (const title of [...six, 'Active alerts']) t.ok(titles.includes(title), title);
});

t.test('every alert has a case, a summary, a severity, and a section of the runbook that exists', async (t) => {
  const names = [...alerts.matchAll(/- alert: (\w+)/g)].map(([, name]) => name);
  const cases = [...read('prometheus/tests/alerts.yml').matchAll(/- name: (\w+)/g)].map(([, name]) => name);
  t.same(cases, names);
  for (const field of [/severity: (critical|warning|info) \}/g, /^ {10}summary: ./gm, /^ {10}runbook: ./gm])
    t.equal([...alerts.matchAll(field)].length, names.length, String(field));
  const runbook = readFileSync(path.join(FOLDER, '../docs/runbook.md'), 'utf8');
  for (const [, section = ''] of alerts.matchAll(/docs\/runbook\.md#(\w+)/g))
    t.match(runbook, new RegExp(`^## ${section}$`, 'm'), section);
});

const promtool = spawnSync('promtool', ['--version']);
const skip = promtool.error ? 'promtool is not installed (Debian: apt install prometheus)' : false;

t.test('promtool takes the rules, and their unit tests pass', { skip }, async (t) => {
  const files = (folder: string) => readdirSync(path.join(FOLDER, folder)).filter((file) => file.endsWith('.yml'));
  for (const [command, folder] of [
    ['check', 'prometheus'],
    ['test', 'prometheus/tests'],
  ] as const) {
    const cwd = path.join(FOLDER, folder);
    const { status, stdout, stderr } = spawnSync('promtool', [command, 'rules', ...files(folder)], {
      cwd,
      encoding: 'utf8',
    });
    t.equal(status, 0, `${command}: ${stdout}${stderr}`);
  }
});

function isKnown(t: { ok(value: unknown, message: string): unknown }, expression: string): void {
  const metrics = metricsIn(expression);
  t.ok(metrics.length > 0, `something is read: ${expression}`);
  for (const metric of metrics) t.ok([...exported, ...recorded, ...BUILT_IN].includes(metric), `${metric} is there`);
}
