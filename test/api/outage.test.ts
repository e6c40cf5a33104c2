/** A real PostgreSQL is stopped, killed, and loses its socket's file, under an API that runs. */
import t, { type Test } from 'tap';
import type { Api } from '../../src/api/deps.ts';
import { openDatabase } from '../../src/db/database.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { type Teardown, waitFor } from '../helper.ts';
import { pages } from '../workflows/engine.ts';
import { apiOn } from './client.ts';
import { OwnPostgres } from './postgres.ts';
import { type JsonSchema, sampleOf } from './sample.ts';

const WORKFLOWS = new Workflows([pages('SyncAll', 1)], ['10234695']);
const postgres = await OwnPostgres.start(t);

for (const [over, url] of [
  ['TCP', postgres.tcpUrl],
  ['a Unix socket', postgres.socketUrl],
] as const) {
  for (const how of ['stop', 'kill'] as const) {
    t.test(`PostgreSQL over ${over}: ${how}`, async (t) => {
      const api = await apiOver(t, url);
      t.equal((await api.inject('/dashboard/metrics')).statusCode, 200, 'it works before');
      await postgres.end(how);
      // The backends of a killed server serve their connections until they notice.
      await waitFor('the last connection to be gone', async () => (await api.inject('/readyz')).statusCode === 503);
      await isAGoodOutage(t, api);
      await postgres.start();
      const recovered = async () => (await api.inject('/dashboard/metrics')).statusCode === 200;
      await waitFor('the API to find the database again', recovered);
      t.equal((await api.inject('/readyz')).statusCode, 200, 'it is ready again');
    });
  }
}

t.test('PostgreSQL over a Unix socket whose file is gone', async (t) => {
  postgres.unlinkSocket();
  await isAGoodOutage(t, await apiOver(t, postgres.socketUrl));
});

t.test('a database that refuses the login', async (t) => {
  const nowhere = await apiOver(t, postgres.tcpUrl.replace('/postgres', '/nowhere'));
  const answer = await nowhere.inject('/dashboard/metrics');
  t.equal(answer.statusCode, 503);
  t.match(answer.json(), { code: 'database_refused', detail: /DATABASE_URL/ });
  t.notMatch(answer.body, /nowhere/, 'and its name stays inside');
});

async function apiOver(t: Teardown, url: string): Promise<Api> {
  const open = openDatabase({ url, max: 5, applicationName: 'tds-test' });
  // A receiver, so that a test notification has to reach the outbox.
  const { api } = await apiOn(t, open, { alertWebhookUrl: 'https://hooks.example.com/' }, WORKFLOWS);
  t.teardown(() => open.close());
  return api;
}

/** Every operation but those that need no database asks to come again later, and tells nothing about the database. */
async function isAGoodOutage(t: Test, api: Api): Promise<void> {
  for (const { method, url, payload } of await operationsOf(api)) {
    const answer = await api.inject({ method, url, ...(payload && { payload }) });
    if (answer.statusCode === 400 && url.includes(ID)) continue; // this path takes no uuid
    t.equal(answer.statusCode, 503, `${method} ${url} ${answer.statusCode === 503 ? '' : answer.body}`);
    t.ok(Number(answer.headers['retry-after']) > 0, `${method} ${url} says when to come again`);
    t.equal(answer.json().code, 'database_unavailable');
    t.notMatch(answer.body, /ENOENT|ECONN|57P|\.s\.PGSQL|127\.0\.0\.1|select /i);
  }
  t.equal((await api.inject('/livez')).statusCode, 200, 'it is alive');
  t.equal((await api.inject('/health')).statusCode, 200, 'it is healthy');
  t.match((await api.inject('/metrics')).body, /^tds_database_up 0$/m, 'Prometheus is told');
  const readiness = await api.inject('/readyz?verbose');
  t.equal(readiness.statusCode, 503, 'it is not ready');
  const [first, ...others] = readiness.json().dependencies;
  t.match(first, { name: 'postgresql', status: 'down' });
  t.same(others, [], 'of the schema nobody knows anything now');
}

const DELIVERY = { invoice: { invoice_id: '1', last_modified_time: '2026-01-01T00:00:00Z' } };
const ID = '00000000-0000-4000-8000-000000000001';
const WITHOUT_DATABASE = new Set([
  '/health',
  '/livez',
  '/readyz',
  '/metrics',
  '/dashboard/whoami',
  '/dashboard/session',
]);

type Operation = {
  parameters?: { in: string; name: string; required?: boolean; schema: JsonSchema }[];
  requestBody?: { content: { 'application/json'?: { example?: object; schema: JsonSchema } } };
};
type Call = { method: 'GET' | 'POST'; url: string; payload?: object };

/** Every operation that needs the database, with values for what it demands. */
async function operationsOf(api: Api): Promise<Call[]> {
  const { paths } = (await api.inject('/docs/json')).json();
  return Object.entries(paths as Record<string, Record<string, Operation>>)
    .filter(([path]) => !WITHOUT_DATABASE.has(path))
    .flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => callOf(method, path, operation)),
    );
}

function callOf(method: string, path: string, { parameters = [], requestBody }: Operation): Call {
  const demanded = parameters.filter((parameter) => parameter.in === 'query' && parameter.required);
  const query = new URLSearchParams(
    Object.fromEntries(demanded.map(({ name, schema }) => [name, String(sampleOf(schema))])),
  );
  const body = requestBody?.content['application/json'];
  const payload = path.startsWith('/webhooks') ? DELIVERY : body && ((body.example ?? sampleOf(body.schema)) as object);
  const url = `${path.replace(/\{\w+\}/g, ID)}${demanded.length === 0 ? '' : `?${query}`}`;
  return { method: method.toUpperCase() as 'GET', url, ...(payload && { payload }) };
}
