import t from 'tap';
import { testApi } from './client.ts';

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
