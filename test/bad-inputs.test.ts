/**
 * The bad inputs of one table, test/bad-inputs/cases.json: what is sent and what is to come of it, in words. How each is
 * sent, and what the product answers where the words leave a choice, stands in the files of test/bad-inputs/. The last
 * test prints all of them with what became of each.
 */
import path from 'node:path';
import t, { type Test } from 'tap';
import cases from './bad-inputs/cases.json' with { type: 'json' };
import type { Check, Checks } from './bad-inputs/check.ts';
import { http } from './bad-inputs/http.ts';
import { json } from './bad-inputs/json.ts';
import { operators } from './bad-inputs/operators.ts';
import { outward } from './bad-inputs/outward.ts';
import { privacy } from './bad-inputs/privacy.ts';
import { resources } from './bad-inputs/resources.ts';
import { type Effect, runCase, type Table } from './bad-inputs/run.ts';
import { CURRENT_SECRET, PREVIOUS_SECRET, type Target } from './bad-inputs/send.ts';
import { webhooks } from './bad-inputs/webhooks.ts';
import { startSystem } from './system.ts';

const deliveries: Table = { ...webhooks, ...http, ...json };
const checks: Checks = { ...operators, ...privacy, ...outward, ...resources };

/** What the words of the table allow: REJ rejected, ACC accepted, QUA quarantined, SAFE harmless. */
const ALLOWED: Record<Effect, RegExp> = {
  nothing: /REJ|SAFE/,
  mirrored: /ACC|SAFE|last-wins/,
  quarantined: /QUA|SAFE/,
  dead: /ACC/,
};

const system = await startSystem(t, {
  ZOHO_WEBHOOK_SECRET: `${CURRENT_SECRET},${PREVIOUS_SECRET}`,
  HANDLERS_DIR: path.join(import.meta.dirname, 'bad-inputs/handlers'),
  // As npm run api and the units have it: without it V8 keeps 100 MB more after the exports.
  NODE_OPTIONS: '--max-semi-space-size=8',
});

t.test('every case is sent in some way, and answered as the table allows', async (t) => {
  t.same([...Object.keys(deliveries), ...Object.keys(checks)].sort(), cases.map(({ id }) => id).sort());
  for (const { id, status, outcome } of cases) {
    const expected = deliveries[id];
    if (!expected) continue;
    t.match(outcome, ALLOWED[expected.effect], `${id} leaves ${expected.effect}`);
    // "ignored" and "routed as local path" name no status.
    const stated: string[] = /ignored|routed/.test(status) ? [] : (status.match(/\d{3}/g) ?? []);
    if (stated.length > 0) t.ok(stated.includes(String(expected.answer)), `${id} answers ${status}`);
  }
});

/** What a case that passes does not show. */
const REMARKS: Record<string, string> = {
  D22: 'there is no parameter that sorts',
  D32: 'GET /metrics is not built yet: 404',
  D33: 'the version is the one that the operations guide prints',
};

const results = new Map<string, string>();

for (const { id, name, input, status } of cases) {
  const work = workOf(id);
  if (typeof work === 'string') {
    results.set(id, work);
    continue;
  }
  t.test(`${id} ${name}: ${input} → ${status}`, async (t) => {
    results.set(id, 'FAILED');
    await work(t, { system, url: system.api.url, organization: id, t });
    if (t.passing()) results.set(id, 'passed');
  });
}

/** What a case does, or why there is nothing to do. */
function workOf(id: string): Check | string {
  const delivery = deliveries[id];
  if (delivery) return (t: Test, _at: Target) => runCase(t, system, id, delivery);
  return checks[id] ?? 'FAILED: nobody sends it';
}

t.test('all cases and what became of them', async (t) => {
  for (const { id, name } of cases) {
    const remark = REMARKS[id] ? ` (${REMARKS[id]})` : '';
    t.comment(`${id}  ${name.padEnd(24)} ${results.get(id)}${remark}`);
  }
  const open = [...results.values()].filter((result) => result.startsWith('not built'));
  t.comment(`${cases.length} cases: ${open.length} of features that are not built yet`);
  t.same(
    cases.filter(({ id }) => !/^(passed|not built yet: |shown by )/.test(results.get(id) ?? '')).map(({ id }) => id),
    [],
    'none failed',
  );
});
