/** Traces as a collector receives them from the real processes. */
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import path from 'node:path';
import t from 'tap';
import { Collector, type ReceivedSpan } from '../collector.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { deliver, settled } from '../pipeline/zoho.ts';
import { end, startApi, startSystem, startWorker } from '../system.ts';

const HANDLER = `
export default {
  eventTypes: ['invoice.*'],
  async handle(event, ctx) {
    if (event.entityId === '2') throw Object.assign(new Error('no such customer: Miss Marple'), { status: 422 });
    await sql(ctx.trx);
  },
};
import { sql as text } from 'kysely';
const sql = (trx) => text.raw("select 'Miss Marple' as name, 12345 as amount").execute(trx);
`;

const invoice = (id: string, version = '2026-01-15T10:30:00+0100') => ({
  to: '/60000000001/invoice/updated',
  body: { invoice: { invoice_id: id, customer_name: 'Miss Marple', total: 12345, last_modified_time: version } },
});

t.test('one trace leads from the webhook through both processes to the handler and its statements', async (t) => {
  const collector = await Collector.start(t);
  const handlers = t.testdir({ 'own.js': HANDLER, node_modules: t.fixture('symlink', path.resolve('node_modules')) });
  const system = await startSystem(t, { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, HANDLERS_DIR: handlers });
  const { event_id } = await deliver(system, invoice('1'));
  const failing = await deliver(system, invoice('2'));
  await settled(system);

  const of = (id: string, name: string) => (span: ReceivedSpan) =>
    span.name === name && span.attributes['tds.event_id'] === id;
  const request = await collector.find(
    'of the request',
    of(event_id, 'POST /webhooks/zoho-books/:organization_id/:module/:action'),
  );
  const attempt = await collector.find('of the attempt', of(event_id, 'attempt'));
  const inTrace =
    (name: string, text = '') =>
    (span: ReceivedSpan) =>
      span.traceId === request.traceId &&
      span.name === name &&
      String(span.attributes['db.query.text'] ?? '').includes(text);
  const statement = await collector.find("of the handler's statement", inTrace('SELECT', 'as name'));
  t.same(collector.pathOf(statement), [
    'tds-core-worker: SELECT',
    'tds-core-worker: handler own',
    'tds-core-worker: attempt',
    'tds-core-api: store delivery',
    'tds-core-api: POST /webhooks/zoho-books/:organization_id/:module/:action',
  ]);
  t.equal(statement.attributes['db.query.text'], 'select ? as name, ? as amount', 'without its values');
  t.same(collector.pathOf(await collector.find('of storing', inTrace('enqueue'))).slice(1, 2), [
    'tds-core-api: store delivery',
  ]);
  t.match(await collector.find('of waiting', inTrace('queue')), { parentSpanId: attempt.parentSpanId });
  t.match(await collector.find('of the end', inTrace('finish')), { parentSpanId: attempt.spanId });
  t.match(attempt.attributes, { 'tds.attempt': 1, 'tds.status': 'completed', 'tds.entity_id': '1' });
  t.match(request.attributes, { 'http.response.status_code': 202, 'http.request.method': 'POST' });

  const failed = await collector.find('of the failed attempt', of(failing.event_id, 'attempt'));
  t.match(failed, {
    status: { code: 2 },
    attributes: { 'tds.status': 'dead_letter', 'error.type': 'ValidationError' },
  });
  t.match(
    collector.spans.filter(({ traceId, name }) => traceId === failed.traceId && name === 'handler own'),
    [{ status: { code: 2 } }],
  );
  t.notMatch(collector.text, /Marple|12345/, 'nothing of the record');

  const { rows } = await system.pool.query('select traceparent from tds_inbox_payloads where event_id = $1', [
    event_id,
  ]);
  t.match(rows[0].traceparent, new RegExp(`^00-${request.traceId}-[0-9a-f]{16}-01$`));
  const named = `"trace_id":"${request.traceId}"`;
  t.match(system.api.output(), named, 'the log line of the request names it');
  t.match(system.worker.output(), named, 'and that of the attempt');
});

t.test('what is done once for a set is linked with the trace of each of its events', async (t) => {
  const collector = await Collector.start(t);
  const database = await testDatabase(t);
  const settings = { DATABASE_URL: database.url, OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint };
  const api = await startApi(t, settings);
  const events = await Promise.all([1, 2, 3].map((id) => deliver({ api }, invoice(`${id}`))));
  await startWorker(t, settings);
  await settled({ ...database, api } as never);
  const attempts = await Promise.all(
    events.map(({ event_id }) =>
      collector.find(
        'of the attempt',
        (span) => span.name === 'attempt' && span.attributes['tds.event_id'] === event_id,
      ),
    ),
  );
  const set = await collector.find('of the set', ({ name }) => name === 'process set');
  t.equal(new Set(attempts.map(({ traceId }) => traceId)).size, 3);
  for (const attempt of attempts) t.match(attempt.links, [{ traceId: set.traceId, spanId: set.spanId }]);
  t.same(set.links.map(({ traceId }) => traceId).toSorted(), attempts.map(({ traceId }) => traceId).toSorted());
  const handler = await collector.find('of the handler', ({ name }) => name === 'handler mirror');
  t.equal(handler.parentSpanId, set.spanId);
});

t.test('a share of 0 keeps nothing, in both processes', async (t) => {
  const collector = await Collector.start(t);
  const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint, OTEL_TRACES_SAMPLER_ARG: '0' };
  const system = await startSystem(t, settings);
  await deliver(system, invoice('1'));
  await settled(system);
  await end(system.api.child, 'SIGTERM');
  await end(system.worker.child, 'SIGTERM');
  t.same(collector.spans, []);
});

t.test('without a collector nothing of OpenTelemetry is loaded, and nothing is stored', async (t) => {
  const directory = t.testdir({ off: '', on: '' });
  const collector = await Collector.start(t);
  const preload = path.join(import.meta.dirname, 'loaded-modules.mjs');
  const run = async (file: string, settings: Record<string, string>) => {
    const list = path.join(directory, file);
    const system = await startSystem(t, { NODE_OPTIONS: `--import=${preload}`, LOADED_MODULES: list, ...settings });
    await deliver(system, invoice('1'));
    await settled(system);
    const { rows } = await system.pool.query('select traceparent is null as untraced from tds_inbox_payloads');
    return { untraced: rows[0].untraced, modules: readFileSync(list, 'utf8').split('\n') };
  };
  // Not what is loaded without either: the API package, which prom-client imports, and the file that decides.
  const always = /@opentelemetry\/api\/|monitor\/sentry\/start\.ts/;
  const foreign = (modules: string[]) =>
    modules.filter((url) => /opentelemetry|sentry/i.test(url) && !always.test(url));
  const off = await run('off', {});
  t.ok(off.modules.length > 500, 'the list is a list');
  t.same(foreign(off.modules), []);
  t.equal(off.untraced, true);
  const on = await run('on', { OTEL_EXPORTER_OTLP_ENDPOINT: collector.endpoint });
  t.ok(foreign(on.modules).length > 10, 'with one it is');
  t.equal(on.untraced, false);
});

t.test('a collector that is away or never answers holds up nothing', async (t) => {
  const silent = createServer(() => {});
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
  const sockets = new Set<{ destroy(): void }>();
  silent.on('connection', (socket) => sockets.add(socket));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    silent.close();
  });
  const endpoints = {
    silent: `http://127.0.0.1:${(silent.address() as AddressInfo).port}`,
    away: 'http://127.0.0.1:9',
  };
  for (const [name, endpoint] of Object.entries(endpoints)) {
    const system = await startSystem(t, { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint });
    const { status } = await deliver(system, invoice('1'));
    t.equal(status, 202, name);
    await settled(system);
    if (name === 'away')
      await waitFor('the line that tells of it', async () =>
        system.api.output().includes('spans could not be delivered'),
      );
    for (const { child } of [system.api, system.worker]) {
      await end(child, 'SIGTERM');
      t.equal(child.exitCode, 0, 'it stops well, within its deadline');
    }
  }
});
