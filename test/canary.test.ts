/**
 * Nobody's name, e-mail address, telephone number or amount leaves by what tells of the system: logs, numbers, lists,
 * alerts, notifications, traces, reports and exports. The real processes work on records that carry such values, through
 * success, failures of every kind, quarantine and rejection.
 */
import { spawnSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import t, { type Test } from 'tap';
import { CURRENT_SECRET, post, type Target } from './bad-inputs/send.ts';
import { Collector } from './collector.ts';
import { waitFor } from './helper.ts';
import { startReceiver } from './monitor/notify/receiver.ts';
import { Receiver as SentryReceiver } from './monitor/sentry-receiver.ts';
import { startSystem } from './system.ts';

const CUSTOMER = {
  customer_name: 'Miss Canary Marple',
  email: 'canary.7f3a@example.com',
  phone: '+44 20 7946 0958',
  total: 98765.43,
  notes: 'Tell Miss Canary Marple that 98765.43 is due',
};
const VALUES = [
  CUSTOMER.customer_name,
  'Canary',
  CUSTOMER.email,
  'canary.7f3a',
  CUSTOMER.phone,
  String(CUSTOMER.total),
];

/** By the entity: what a careless handler does with what it knows of the customer. */
const HANDLER = `
import { sql } from 'kysely';
export default {
  eventTypes: ['invoice.*'],
  async handle(event, ctx) {
    const { customer_name, email, phone, total } = event.payload;
    const all = [customer_name, email, phone, total].join(', ');
    ctx.log.info({ component: 'own', entity_id: event.entityId }, 'an invoice');
    if (event.entityId === '2') throw Object.assign(new Error('refused: ' + all), { status: 422 });
    if (event.entityId === '3') throw Object.assign(new Error('again: ' + all), { code: 'ECONNRESET' });
    if (event.entityId === '4') await sql.raw("select '" + customer_name + "'::int").execute(ctx.trx);
    if (event.entityId === '5') await sql\`select \${email}::numeric\`.execute(ctx.trx);
    if (event.entityId === '6') {
      const answer = await fetch(process.env.CANARY_CRM + '?q=' + encodeURIComponent(email), { method: 'POST', body: all });
      throw Object.assign(new Error('the CRM said ' + answer.status), { status: answer.status, body: await answer.text() });
    }
    if (event.entityId === '7') Promise.reject(new TypeError('escaped with ' + all));
    if (event.entityId === '7') await new Promise((resolve) => setTimeout(resolve, 50));
    if (event.entityId === '8') throw { customer: all };
  },
};`;

const EVENTS = ['1', '2', '3', '4', '5', '6', '7', '8'];
const OPERATOR = { authorization: 'Bearer canary-run-token' };

t.test('what tells of the system tells nothing of a customer', async (t) => {
  const [collector, sentry] = [await Collector.start(t), await SentryReceiver.start(t)];
  const [alerts, lifecycle] = [await startReceiver(t), await startReceiver(t)];
  const handlers = t.testdir({ 'own.js': HANDLER, node_modules: t.fixture('symlink', path.resolve('node_modules')) });
  const system = await startSystem(t, {
    ...{ HANDLERS_DIR: handlers, CANARY_CRM: await echo(t), RETRY_BASE_SECONDS: '0', LOG_LEVEL: 'trace' },
    ...{ ZOHO_WEBHOOK_SECRET: CURRENT_SECRET, OPERATOR_TOKENS: 'ann:admin:canary-run-token' },
    ...{ OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, SENTRY_DSN: sentry.dsn },
    ...{ ALERT_WEBHOOK_URL: alerts.url, LIFECYCLE_WEBHOOK_URL: lifecycle.url },
    ...{ ALERT_WEBHOOK_ALLOW_PRIVATE: '1', ALERT_GROUP_SECONDS: '0' },
  });
  const target: Target = { system, url: system.api.url, organization: '60000000001', t };

  for (const id of EVENTS) await send(t, target, { invoice: { invoice_id: id, ...CUSTOMER } }, 202);
  await send(t, target, { widget: { widget_id: '1', [CUSTOMER.email]: CUSTOMER.customer_name } }, 202);
  await send(t, target, '{"invoice":{"customer_name":"Miss Canary Marple"', 202);
  await send(t, target, { invoice: { invoice_id: '9', ...CUSTOMER } }, 401, { signature: 'wrong' });
  await send(t, target, JSON.stringify(CUSTOMER), 415, { contentType: 'text/html' });
  await send(t, target, { invoice: CUSTOMER }, 400, { to: `?email=${encodeURIComponent(CUSTOMER.email)}` });
  await allEnded(system.pool);

  const outside = { 'the receiver of alerts': alerts, 'the receiver of dead letters': lifecycle };
  for (const [name, { received }] of Object.entries(outside))
    await waitFor(`a message at ${name}`, async () => received.length > 0, 60_000);
  await waitFor('reports of each kind of failure', async () => sentry.envelopes.length >= 6, 60_000);
  await collector.find('of a failed attempt', ({ name, status }) => name === 'attempt' && status.code === 2);

  const { rows } = await system.pool.query('select record from books_records');
  t.match(rows, [{ record: { customer_name: CUSTOMER.customer_name } }], 'the mirror has it');
  const told = {
    'the log of the API': system.api.output(),
    'the log of the worker': system.worker.output(),
    'the traces': collector.text,
    Sentry: sentry.envelopes.map(({ text }) => text).join(''),
    ...Object.fromEntries(Object.entries(outside).map(([name, { received }]) => [name, JSON.stringify(received)])),
    ...(await everyList(t, system.api.url)),
    ...exported(t, system.api.url),
  };
  for (const [place, text] of Object.entries(told)) {
    // An export keeps amounts, digit for digit: with the names gone they are nobody's.
    const values = place.startsWith('tds export') ? VALUES.filter((value) => value !== String(CUSTOMER.total)) : VALUES;
    t.ok(text.length > 1, `${place} says something`);
    for (const value of values) t.notOk(text.includes(value), `${value} is not in ${place}${around(text, value)}`);
  }
});

async function send(t: Test, target: Target, body: object | string, status: number, request = {}): Promise<void> {
  const answer = await post(target, { body: typeof body === 'string' ? body : JSON.stringify(body), ...request });
  t.equal(answer.status, status, answer.text);
}

/** A called system that says what it was told. */
async function echo(t: Test): Promise<string> {
  const server = createServer((request, response) => {
    response.writeHead(503, { 'content-type': 'application/json' });
    request.on('data', (said) => response.write(JSON.stringify({ message: `what is ${said}?`, url: request.url })));
    request.on('end', () => response.end());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close().closeAllConnections());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/crm`;
}

async function allEnded(pool: import('pg').Pool): Promise<void> {
  const open = `select from tds_sync_queue where status not in ('completed', 'dead_letter')`;
  await waitFor('every event to end', async () => (await pool.query(open)).rowCount === 0, 60_000);
}

/** These hand out records and deliveries, to those who may see them. */
const RECORDS = ['/dashboard/changes'];

/** What every list and number of the API answers, by what its own description names. */
async function everyList(t: Test, url: string): Promise<Record<string, string>> {
  const ask = (at: string) => fetch(url + at, { headers: OPERATOR });
  const { paths } = (await (await ask('/docs/json')).json()) as { paths: Record<string, { get?: unknown }> };
  const lists = Object.keys(paths).filter(
    (at) => paths[at]?.get && !at.includes('{') && !RECORDS.includes(at) && at !== '/dashboard/export',
  );
  t.ok(lists.length > 20, 'there are lists');
  const answers = await Promise.all(
    [...lists, '/dashboard/digest?format=text', '/dashboard/field-drift?all=true', '/metrics'].map(async (at) => {
      const answer = await ask(at);
      t.ok(answer.status < 500, `${at} ${answer.status}`);
      // Who may read a dead letter may read its record, which the guide has there.
      return [at, (await answer.text()).replace(/"payload" ?: ?\{[^}]*\}/g, '')] as const;
    }),
  );
  return Object.fromEntries(answers);
}

/** What `tds export` writes without --unmask. */
function exported(t: Test, url: string): Record<string, string> {
  const env = { ...process.env, TDS_URL: url, TDS_TOKEN: 'canary-run-token' };
  const files = ['events', 'pending', 'failed', 'dead_letters', 'logs', 'audit'].map((what) => {
    const ran = spawnSync('bin/tds', ['export', what, '--format', 'jsonl'], { env, encoding: 'utf8' });
    t.equal(ran.status, 0, ran.stderr);
    return [`tds export ${what}`, `${ran.stdout} ${ran.stderr} `] as const;
  });
  return Object.fromEntries(files);
}

function around(text: string, value: string): string {
  const at = text.indexOf(value);
  return at === -1 ? '' : `: ${text.slice(Math.max(0, at - 200), at + 100)}`;
}
