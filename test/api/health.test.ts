import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { apiOn, testApi } from './client.ts';

t.test('health', async (t) => {
  const { api, db } = await testApi(t);

  t.test('answers exactly the keys of the operations guide', async (t) => {
    const answer = await api.inject('/health');
    t.equal(answer.statusCode, 200);
    const { timestamp, ...rest } = answer.json();
    t.same(rest, { status: 'healthy', app_name: 'TDS_Core', version: '1.0.0' });
    t.match(timestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  t.test('readiness names the database and its latency', async (t) => {
    const answer = await api.inject('/readyz');
    t.equal(answer.statusCode, 200);
    const [postgres] = answer.json().dependencies;
    t.match(postgres, { name: 'postgresql', status: 'up', latency_ms: Number });
    t.notOk('workers' in answer.json());
  });

  t.test('verbose readiness says that no worker is alive, and is ready all the same', async (t) => {
    const answer = await api.inject('/readyz?verbose');
    t.equal(answer.statusCode, 200);
    t.same(answer.json().workers, { alive: 0 });
    const expiry = (minutes: number) => new Date(Date.now() + minutes * 60_000);
    const worker = { host: 'h', pid: 1, concurrency: 5 };
    await db
      .insertInto('tds_workers')
      .values([
        { ...worker, worker_id: '00000000-0000-4000-8000-000000000001', expires_at: expiry(1) },
        { ...worker, worker_id: '00000000-0000-4000-8000-000000000002', expires_at: expiry(-1) },
      ])
      .execute();
    t.same((await api.inject('/readyz?verbose')).json().workers, { alive: 1 });
  });
});

t.test('with the database away', async (t) => {
  const dead = openDatabase({ url: 'postgres://nobody@127.0.0.1:1/none', max: 2, applicationName: 'tds-test' });
  t.teardown(() => dead.close());
  const { api } = await apiOn(t, dead);

  t.test('it is alive and healthy but not ready', async (t) => {
    t.equal((await api.inject('/livez')).statusCode, 200);
    t.equal((await api.inject('/health')).statusCode, 200);
    const answer = await api.inject('/readyz?verbose');
    t.equal(answer.statusCode, 503);
    t.match(answer.json(), { status: 'not_ready', dependencies: [{ name: 'postgresql', status: 'down' }] });
  });

  const ID = '00000000-0000-4000-8000-000000000001';
  const routes: [method: 'GET' | 'POST', url: string][] = [
    ['GET', '/dashboard/metrics'],
    ['GET', '/dashboard/queue-stats'],
    ['GET', '/dashboard/recent-events'],
    ['GET', '/dashboard/dead-letter'],
    ['POST', `/dashboard/dead-letter/${ID}/retry`],
    ['POST', `/dashboard/alerts/${ID}/acknowledge`],
  ];
  for (const [method, url] of routes) {
    t.test(`${method} ${url} asks to come again later and tells nothing about the database`, async (t) => {
      const answer = await api.inject({ method, url });
      t.equal(answer.statusCode, 503);
      t.ok(Number(answer.headers['retry-after']) > 0);
      t.match(answer.headers['content-type'], 'application/problem+json');
      t.equal(answer.json().code, 'database_unavailable');
      t.notMatch(answer.body, /ECONNREFUSED|127\.0\.0\.1|select/i);
    });
  }

  t.test('a webhook is refused with 503, so that Zoho sends it again', async (t) => {
    const payload = { invoice: { invoice_id: '1', last_modified_time: '2026-01-01T00:00:00Z' } };
    const answer = await api.inject({ method: 'POST', url: '/webhooks/zoho-books/1/invoice/created', payload });
    t.equal(answer.statusCode, 503);
    t.ok(answer.headers['retry-after']);
  });
});
