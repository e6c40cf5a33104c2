/** Readiness tells the truth within 2 s, whatever PostgreSQL does, and recovers by itself. */
import os from 'node:os';
import pg from 'pg';
import root, { type Test } from 'tap';
import type { Api } from '../../src/api/deps.ts';
import { openDatabase } from '../../src/db/database.ts';
import { PATIENCE_MS } from '../../src/monitor/health.ts';
import { probeOf } from '../../src/monitor/notify/database-watch.ts';
import { waitFor } from '../helper.ts';
import { apiOn } from './client.ts';
import { OwnPostgres } from './postgres.ts';

const CONNECTIONS = 12;
const settings = { max_connections: String(CONNECTIONS), superuser_reserved_connections: '0' };
const preloaded = { ...settings, reserved_connections: '0', shared_preload_libraries: 'pg_stat_statements' };
const postgres = await OwnPostgres.start(root, preloaded);

async function newApi(t: Test, max = 3) {
  const open = openDatabase({ url: postgres.tcpUrl, max, applicationName: 'tds-test' });
  const { api } = await apiOn(t, open, { dataDir: os.tmpdir() }, undefined, probeOf(postgres.tcpUrl, PATIENCE_MS));
  t.teardown(() => open.close());
  return { ...open, api };
}

type Answer = { status: number; down: string[]; seconds: number };

async function readiness(api: Api): Promise<Answer> {
  const started = performance.now();
  const answer = await api.inject('/readyz?verbose');
  const seconds = (performance.now() - started) / 1000;
  const dependencies: { name: string; status: string }[] = answer.json().dependencies;
  const down = dependencies.filter(({ status }) => status === 'down').map(({ name }) => name);
  return { status: answer.statusCode, down, seconds };
}

/** The process is alive, and says within 2 s what is down. */
async function tells(t: Test, api: Api, down: string[]): Promise<void> {
  const answer = await waitFor('it to be not ready', async () => {
    const now = await readiness(api);
    return now.status === 503 && now;
  });
  t.same(answer.down, down);
  t.ok(answer.seconds < 2, `within 2 s: ${answer.seconds}`);
  t.equal((await api.inject('/livez')).statusCode, 200, 'it is alive');
  t.notMatch(JSON.stringify((await api.inject('/readyz?verbose')).json()), /127\.0\.0\.1|tds-test|pid/i);
}

async function recovers(api: Api): Promise<void> {
  await waitFor('it to be ready again', async () => (await readiness(api)).status === 200, 60_000);
}

root.test('a PostgreSQL that hangs', async (t) => {
  const { api } = await newApi(t);
  t.equal((await readiness(api)).status, 200);
  postgres.freezeAll();
  t.teardown(() => postgres.thawAll());
  await tells(t, api, ['postgresql']);
  postgres.thawAll();
  await recovers(api);
});

root.test('a PostgreSQL that is stopped', async (t) => {
  const { api } = await newApi(t);
  t.equal((await readiness(api)).status, 200);
  await postgres.end('stop');
  await tells(t, api, ['postgresql']);
  await postgres.start();
  await recovers(api);
});

root.test('a PostgreSQL that takes no further connection', async (t) => {
  const { api, db } = await newApi(t);
  t.equal((await readiness(api)).status, 200);
  const clients = await postgres.useUp();
  t.teardown(() => Promise.all(clients.map((client) => client.end().catch(() => {}))));
  t.ok(await db.selectFrom('tds_queue_state').selectAll().executeTakeFirst(), 'its own connection still works');
  await tells(t, api, ['connections']);
  await Promise.all(clients.map((client) => client.end()));
  await recovers(api);
});

root.test('a pool of which every connection is in use', async (t) => {
  const { api, pool } = await newApi(t, 2);
  t.equal((await readiness(api)).status, 200);
  const used = [await pool.connect(), await pool.connect()];
  await tells(t, api, ['pool']);
  for (const client of used) client.release();
  await recovers(api);
});

root.test('the details name processes, disk, oldest transaction and slow statements', async (t) => {
  const { api } = await newApi(t);
  const client = new pg.Client({ connectionString: postgres.tcpUrl, application_name: 'the-forgotten' });
  await client.connect();
  t.teardown(() => client.end());
  await client.query('create extension pg_stat_statements');
  await client.query(
    "insert into tds_zoho_quota (organization_id, day_limit, day_remaining, day_resets_at) values ('10', 1000, 400, now() + interval '1 hour')",
  );
  await client.query("begin; select 'a name nobody should read'");
  const details = (await api.inject('/dashboard/health')).json();
  t.match(details.database.oldest_transaction, { application_name: 'the-forgotten', state: 'idle in transaction' });
  t.match(details.database, { max_connections: CONNECTIONS, disk: { free_bytes: Number, free_percent: Number } });
  t.match(details.migrations, { state: 'current' });
  t.match(details.zoho, [{ organization_id: '10', token: 'none', day_remaining: 400 }]);
  const slow = (await api.inject('/dashboard/slow-statements?limit=100')).json();
  t.equal(slow.available, true);
  t.ok(slow.statements.length > 0);
  t.notMatch(JSON.stringify(slow), /a name nobody should read/);
  await client.query('rollback; drop extension pg_stat_statements');
  t.match((await api.inject('/dashboard/slow-statements')).json(), {
    available: false,
    advice: /shared_preload_libraries/,
  });
});
