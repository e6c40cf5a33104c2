/** What the console needs of the API: its files, who calls, and a log that an open tab does not fill. */
import { openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { buildApp } from '../../src/api/app.ts';
import { createLogger } from '../../src/log.ts';
import { as, OPERATORS, testApi } from './client.ts';

const { api, config, db, pool } = await testApi(t, { operators: OPERATORS, basePath: '/tds' });

t.test('serves the page and every file it names, each with its type', async (t) => {
  const page = await api.inject('/dashboard/');
  t.match(page.headers['content-type'], /^text\/html/);
  const names = [...page.body.matchAll(/(?:href|src)="([\w-]+\.\w+)"/g)].map(([, name]) => String(name));
  t.ok(names.length >= 4, names.join());
  for (const name of names) {
    const file = await api.inject(`/dashboard/${name}`);
    t.equal(file.statusCode, 200, name);
    t.match(file.headers['content-type'], /^(text\/(css|javascript)|image\/svg\+xml)/, name);
  }
});

t.test('without the slash at the end the browser is sent on, and a link keeps its filter', async (t) => {
  t.equal((await api.inject('/dashboard')).headers.location, '/tds/dashboard/');
  t.equal((await api.inject('/dashboard?status=retry')).headers.location, '/tds/dashboard/?status=retry');
});

t.test('tells the caller name and role, and nothing of the token', async (t) => {
  const answer = await api.inject({ url: '/dashboard/whoami', headers: as('viewer') });
  t.same(answer.json(), { name: 'viewer', role: 'viewer', session_expires_at: null, supervisor: 'none' });
});

t.test('the log', async (t) => {
  const file = path.join(t.testdir(), 'log');
  const log = createLogger('tds-core-api', 'info', { fd: openSync(file, 'a'), journald: false });
  const watched = await buildApp({
    config,
    log,
    db,
    pool,
    inbox: { accept: () => Promise.reject(new Error('not used')) },
  });
  t.teardown(() => watched.close());
  let read = 0;
  /** The lines since the last look. */
  const lines = (): { metadata: { status: number; path: string; operator?: string } }[] => {
    const all = readFileSync(file, 'utf8').split('\n').slice(0, -1);
    const fresh = all.slice(read);
    read = all.length;
    return fresh.map((line) => JSON.parse(line)).filter((line) => line.message === 'request');
  };
  const poll = (headers: Record<string, string>, url = '/dashboard/metrics', method: 'GET' | 'POST' = 'GET') =>
    watched.inject({ method, url, headers: { ...headers, 'x-tds-poll': '1' } });

  t.test('has one line a minute for the polls of an operator', async (t) => {
    let now = Date.now();
    t.intercept(Date, 'now', { value: () => now });
    for (let n = 0; n < 12; n++) await poll(as('viewer'));
    t.equal(lines().length, 1);
    await poll(as('admin'));
    t.match(lines(), [{ metadata: { operator: 'admin' } }]);
    now += 60_000;
    for (let n = 0; n < 12; n++) await poll(as('viewer'));
    t.equal(lines().length, 1);
  });

  t.test('has every refusal and every write, whatever the header says', async (t) => {
    const id = '00000000-0000-4000-8000-000000000001';
    for (let n = 0; n < 2; n++) await poll(as('stranger'));
    for (let n = 0; n < 2; n++) await poll(as('viewer'), `/dashboard/alerts/${id}/acknowledge`, 'POST');
    for (let n = 0; n < 2; n++) await poll(as('operator'), `/dashboard/alerts/${id}/acknowledge`, 'POST');
    for (let n = 0; n < 2; n++) await poll(as('viewer'), '/dashboard/recent-events?limit=x');
    t.same(
      lines().map((line) => line.metadata.status),
      [401, 401, 403, 403, 404, 404, 400, 400],
    );
  });

  t.test('has every read that carries no such header', async (t) => {
    for (let n = 0; n < 3; n++) await watched.inject({ url: '/dashboard/queue-stats', headers: as('viewer') });
    t.equal(lines().length, 3);
  });

  t.test('has a line for the page, none for its files', async (t) => {
    for (const name of ['', 'console.js', 'base.css']) await watched.inject(`/dashboard/${name}`);
    t.same(
      lines().map((line) => line.metadata.path),
      ['/dashboard/'],
    );
  });
});
