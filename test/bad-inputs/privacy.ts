/** The E cases: what leaves the house in logs, lists and files. */
import { openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Test } from 'tap';
import { createLogger } from '../../src/log.ts';
import { settled } from '../pipeline/zoho.ts';
import { startApi } from '../system.ts';
import { V2 } from './bodies.ts';
import { type Checks, shownBy } from './check.ts';
import { get, post, sign, type Target } from './send.ts';

const EMAIL = 'canary.7f3a@example.com';
const PHONES = ['+964 770 123 4567', '07701234567', '(281) 332-2575', '٠٧٧٠١٢٣٤٥٦٧'];
const FORMULAS = ['=HYPERLINK("http://evil.example")', '+1', '-1', '@x', '\t=1', "=cmd|'/c calc'!A1"];

export const privacy: Checks = {
  E01: noFormulas,
  E03: noFormulas,
  E04: (t, at) => staysInside(t, at, EMAIL),
  async E05(t, at) {
    for (const phone of PHONES) await staysInside(t, at, phone);
  },
  async E07(t, at) {
    for (const key of [EMAIL, `${EMAIL}_id`, 'ali.hassan-1970'])
      await deliver(t, at, `{${JSON.stringify(key)}:{"x_id":"1","last_modified_time":"${V2}"}}`, 202);
    await deliver(t, at, `{"event":"${EMAIL.replace('@', '_')}.updated","x_id":"1"}`, 202);
    await isAbsent(t, at, EMAIL, 'ali.hassan-1970', 'canary.7f3a_example');
  },
  async E08(t, at) {
    const encoded = encodeURIComponent(EMAIL);
    const known = '{"invoice":{"invoice_id":"1","total":1}}';
    await deliver(t, at, known, 202, `/${encoded}`);
    await deliver(t, at, known, 202, `/invoice/${encoded}`);
    await deliver(t, { ...at, organization: encoded }, known, 202);
    await deliver(t, at, known, 400, `/invoice/updated?customer=${encoded}`);
    for (const url of [`/${encoded}`, `/dashboard/${encoded}`, `/dashboard/recent-events?q=${encoded}`])
      await get(at, url);
    await get(at, `/dashboard/dead-letter/${encoded}/retry`, { method: 'POST' });
    await isAbsent(t, at, EMAIL, encoded);
  },
  async E10(t, at) {
    const secrets = {
      OPERATOR_TOKENS: 'ali:admin:canary-operator-token',
      ZOHO_WEBHOOK_TOKEN: 'canary-webhook-token',
      ZOHO_WEBHOOK_SECRET: 'canary-webhook-secret',
      DATABASE_URL: at.system.url.replace('@', ':canary-database-password@'),
    };
    const api = await startApi(t, { ...secrets, LOG_LEVEL: 'trace' });
    const target = { ...at, url: api.url };
    const body = '{"invoice":{"invoice_id":"1"}}';
    const signature = sign(body, secrets.ZOHO_WEBHOOK_SECRET);
    for (const value of [signature, 'canary-wrong-signature']) await post(target, { body, signature: value });
    const headers = { authorization: 'Bearer canary-operator-token', cookie: 'session=canary-cookie' };
    for (const url of ['/dashboard/metrics', '/dashboard/nowhere', '/dashboard/recent-events?token=canary-query'])
      await get(target, url, { headers });
    await get(target, '/dashboard/metrics', { headers: { authorization: 'Bearer canary-wrong-token' } });
    t.match(api.output(), /"listening"/);
    t.notMatch(api.output(), /canary/);
    t.notMatch(api.output(), signature);
  },
  async E11(t) {
    const file = path.join(t.testdir(), 'log');
    const log = createLogger('tds-core-api', 'info', { fd: openSync(file, 'a'), journald: true });
    for (const character of ['x', 'ä', '\u202e', '\u001b', '"'])
      log.error({ component: 'http', long: Array(20).fill(character.repeat(60_000)) }, character.repeat(60_000));
    for (const line of readFileSync(file, 'utf8').trimEnd().split('\n')) {
      t.ok(Buffer.byteLength(line) <= 32 * 1024, `${Buffer.byteLength(line)} bytes`);
      t.match(JSON.parse(line.replace(/^<3>/, '')), { level: 'error', component: 'http' });
    }
  },
  E13: shownBy('test/api/export.test.ts', 'a purge goes on beside an export, which holds no snapshot'),
};

/** In every column that a sender can fill: as an id, as a module, inside a payload. */
async function noFormulas(t: Test, at: Target): Promise<void> {
  for (const formula of FORMULAS) {
    const text = JSON.stringify(formula);
    await deliver(
      t,
      at,
      `{"invoice":{"invoice_id":${text},"customer_name":${text},"last_modified_time":"${V2}"}}`,
      202,
    );
    await deliver(t, at, `{"journal":{"journal_id":${text},"notes":${text},"last_modified_time":"${V2}"}}`, 202);
  }
  await settled(at.system);
  const { text } = await get(at, '/dashboard/export');
  t.match(text, "'=HYPERLINK");
  t.notMatch(text, /(^|,)"?[=+@\t-]/m);
}

/** A canary in every text field of records that are mirrored, quarantined and dead is in no log, error or number. */
async function staysInside(t: Test, at: Target, canary: string): Promise<void> {
  const text = JSON.stringify(canary);
  const fields = ['customer_name', 'email', 'notes', 'phone', 'reference_number']
    .map((name) => `"${name}":${text}`)
    .join();
  const record = `${fields},"last_modified_time":"${V2}"`;
  await deliver(t, at, `{"invoice":{"invoice_id":"1",${record}}}`, 202);
  await deliver(t, at, `{"journal":{"journal_id":"1",${record}}}`, 202);
  await deliver(t, at, `{"widget":{"email_id":${text},"tax_id":${text},${record}}}`, 202);
  await deliver(t, at, `{"invoice":{"invoice_id":"2",${fields}`, 202);
  if (canary === EMAIL) await deliver(t, at, `{"invoice":{"invoice_id":${text},${record}}}`, 202);
  await isAbsent(t, at, canary);
}

async function deliver(t: Test, at: Target, body: string, status: number, to = ''): Promise<void> {
  const answer = await post(at, { body, to });
  t.equal(answer.status, status, `${to} ${answer.text}`);
}

async function isAbsent(t: Test, at: Target, ...canaries: string[]): Promise<void> {
  await settled(at.system);
  const { api, worker, pool } = at.system;
  const queue = await pool.query('select coalesce(string_agg(error_message, chr(10)), $1) as all from tds_sync_queue', [
    '',
  ]);
  const dead = await pool.query(
    'select coalesce(string_agg(last_error, chr(10)), $1) as all from tds_dead_letter_queue',
    [''],
  );
  const places = {
    'the log of the API': api.output(),
    'the log of the worker': worker.output(),
    'the errors of events': queue.rows[0].all,
    'the errors of dead letters': dead.rows[0].all,
    'the metrics': (await get(at, '/dashboard/metrics')).text,
    'the export': (await get(at, '/dashboard/export?format=jsonl')).text,
    'the export of logs': (await get(at, '/dashboard/export?what=logs')).text,
  };
  for (const canary of canaries) {
    for (const [place, content] of Object.entries(places))
      t.notOk(content.includes(canary), `${canary} is not in ${place}`);
  }
}
