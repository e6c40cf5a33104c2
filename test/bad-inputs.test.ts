/**
 * The bad inputs of one table, test/bad-inputs/cases.json: what is sent and what is to come of it, in words. How each is
 * sent, and what the product answers where the words leave a choice, stands in test/bad-inputs/{webhooks,http,json}.ts.
 */
import path from 'node:path';
import t from 'tap';
import cases from './bad-inputs/cases.json' with { type: 'json' };
import { http } from './bad-inputs/http.ts';
import { json } from './bad-inputs/json.ts';
import { type Effect, runCase, type Table } from './bad-inputs/run.ts';
import { CURRENT_SECRET, PREVIOUS_SECRET } from './bad-inputs/send.ts';
import { webhooks } from './bad-inputs/webhooks.ts';
import { startSystem } from './system.ts';

const table: Table = { ...webhooks, ...http, ...json };

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
});

t.test('every case is sent in some way, and answered as the table allows', async (t) => {
  t.same(Object.keys(table).sort(), cases.map(({ id }) => id).sort());
  for (const { id, status, outcome } of cases) {
    const expected = table[id];
    if (!expected) continue;
    t.match(outcome, ALLOWED[expected.effect], `${id} leaves ${expected.effect}`);
    // "ignored" and "routed as local path" name no status.
    const stated: string[] = /ignored|routed/.test(status) ? [] : (status.match(/\d{3}/g) ?? []);
    if (stated.length > 0) t.ok(stated.includes(String(expected.answer)), `${id} answers ${status}`);
  }
});

for (const { id, name, input, status } of cases) {
  const expected = table[id];
  if (expected) t.test(`${id} ${name}: ${input} → ${status}`, (t) => runCase(t, system, id, expected));
}
