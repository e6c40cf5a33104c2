import t from 'tap';
import { as, OPERATORS, testApi } from './client.ts';

const { api } = await testApi(t, { basePath: '/tds' });

t.test('every path works under BASE_PATH, and without it when the proxy has stripped it', async (t) => {
  for (const path of ['/health', '/dashboard/', '/dashboard/metrics', '/docs/', '/docs/json']) {
    t.equal((await api.inject(`/tds${path}`)).statusCode, 200, `/tds${path}`);
    t.equal((await api.inject(path)).statusCode, 200, path);
  }
});

t.test('a path that only begins alike is not found', async (t) => {
  t.equal((await api.inject('/tdsx/health')).statusCode, 404);
  t.equal((await api.inject('/tds/tds/health')).statusCode, 404);
});

t.test('the console without its slash leads to the console with it', async (t) => {
  t.equal((await api.inject('/tds/dashboard')).headers.location, '/tds/dashboard/');
});

t.test('the page and the docs refer to their files so that they are found', async (t) => {
  const page = (await api.inject('/tds/dashboard/')).body;
  for (const [, file = ''] of page.matchAll(/(?:src|href)="(\w+\.\w+)"/g)) {
    t.equal((await api.inject(`/tds/dashboard/${file}`)).statusCode, 200, file);
  }
  const docs = (await api.inject('/tds/docs')).body;
  for (const [, file = ''] of docs.matchAll(/(?:src|href)="([^"]+)"/g)) {
    t.equal((await api.inject(file)).statusCode, 200, file);
  }
});

t.test('the API description names BASE_PATH as its server', async (t) => {
  t.same((await api.inject('/tds/docs/json')).json().servers, [{ url: '/tds' }]);
});

t.test('a request in absolute form is taken as a local path', async (t) => {
  t.equal((await api.inject({ url: 'http://evil.example/tds/health' })).statusCode, 200);
});

t.test('the bare address leads to the console', async (t) => {
  for (const path of ['/', '/tds', '/tds/']) {
    const answer = await api.inject(path);
    t.equal(answer.statusCode, 302, path);
    t.equal(answer.headers.location, '/tds/dashboard/');
  }
});

t.test('the docs carry our name and no other', async (t) => {
  const page = (await api.inject('/tds/docs/')).body;
  t.match(page, '<title>TDS Core API</title>');
  const script = (await api.inject('/tds/docs/static/swagger-initializer.js')).body;
  const logo = /img\.src = 'data:image\/svg\+xml;base64,([^']+)'/.exec(script)?.[1] ?? '';
  t.match(Buffer.from(logo, 'base64').toString(), 'TDS Core');
  t.equal((await api.inject('/tds/docs/static/theme/icon.svg')).statusCode, 200);
});

t.test('who leaves BASE_PATH out and has no token gets a hint, not a demand for one', async (t) => {
  const { api } = await testApi(t, { basePath: '/tds', operators: OPERATORS });
  const answer = await api.inject('/dashboard/metrics?token=x');
  t.equal(answer.statusCode, 404);
  t.match(answer.json(), { code: 'outside_base_path', detail: /BASE_PATH is \/tds.*Ask \/tds\/dashboard\/metrics\./ });
  t.equal((await api.inject('/tds/dashboard/metrics')).statusCode, 401, 'below it a token is demanded');
  const proxied = { 'x-forwarded-for': '192.0.2.1' };
  t.equal((await api.inject({ url: '/dashboard/metrics', headers: proxied })).statusCode, 401, 'a proxy may strip it');
  t.equal((await api.inject({ url: '/dashboard/metrics', headers: as('viewer') })).statusCode, 200);
});
