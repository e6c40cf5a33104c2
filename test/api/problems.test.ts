import t from 'tap';
import { toProblem } from '../../src/api/problem.ts';
import { InboxUnavailable } from '../../src/inbox/store.ts';
import { testApi } from './client.ts';

const { api } = await testApi(t);

type Case = {
  name: string;
  method?: 'GET' | 'POST' | 'DELETE' | 'PATCH';
  url: string;
  headers?: Record<string, string>;
  payload?: string;
  status: number;
  code: string;
};

const ID = '00000000-0000-4000-8000-000000000001';
const RETRY = `/dashboard/dead-letter/${ID}/retry`;
const CASES: Case[] = [
  { name: 'an unknown path', url: '/package.json', status: 404, code: 'not_found' },
  { name: 'a dot path', url: '/.git/config', status: 404, code: 'not_found' },
  { name: 'an escape from the folder', url: '/dashboard/..%5cpackage.json', status: 404, code: 'not_found' },
  { name: 'a broken escape', url: '/dashboard/%zz', status: 400, code: 'invalid_url' },
  { name: 'another method', method: 'DELETE', url: '/health', status: 405, code: 'method_not_allowed' },
  { name: 'GET on a webhook', url: '/webhooks/zoho-books', status: 405, code: 'method_not_allowed' },
  { name: 'GET on a deep webhook', url: '/webhooks/zoho-books/1/invoice/x', status: 405, code: 'method_not_allowed' },
  {
    name: 'a limit beyond the maximum',
    url: '/dashboard/dead-letter?limit=1000',
    status: 400,
    code: 'invalid_request',
  },
  {
    name: 'an id that is none',
    method: 'POST',
    url: '/dashboard/dead-letter/x/retry',
    status: 400,
    code: 'invalid_request',
  },
  { name: 'an unknown id', method: 'POST', url: RETRY, status: 404, code: 'not_found' },
  {
    name: 'a body of another type',
    method: 'POST',
    url: RETRY,
    headers: { 'content-type': 'text/xml' },
    payload: '<x/>',
    status: 415,
    code: 'unsupported_media_type',
  },
  {
    name: 'broken JSON',
    method: 'POST',
    url: RETRY,
    headers: { 'content-type': 'application/json' },
    payload: '{',
    status: 400,
    code: 'invalid_json',
  },
  {
    name: 'a large body',
    method: 'POST',
    url: RETRY,
    headers: { 'content-type': 'application/json' },
    payload: `"${'x'.repeat(70_000)}"`,
    status: 413,
    code: 'payload_too_large',
  },
  {
    name: 'a flood of headers',
    url: '/health',
    headers: Object.fromEntries(Array.from({ length: 101 }, (_, n) => [`x-${n}`, '1'])),
    status: 431,
    code: 'too_many_headers',
  },
];

for (const { name, method = 'GET', url, headers = {}, payload, status, code } of CASES) {
  t.test(`${name} is answered ${status} ${code}`, async (t) => {
    const answer = await api.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
    t.equal(answer.statusCode, status);
    t.match(answer.headers['content-type'], /^application\/problem\+json/);
    const problem = answer.json();
    t.same(Object.keys(problem), ['type', 'title', 'status', 'detail', 'code', 'request_id']);
    t.match(problem, { status, code, request_id: answer.headers['x-request-id'] });
    t.notMatch(answer.body, /node_modules|at .*\.ts|FST_/);
    if (status === 405) t.ok(answer.headers.allow);
  });
}

t.test('405 says which methods there are', async (t) => {
  t.equal((await api.inject('/webhooks/zoho-books/1')).headers.allow, 'POST, PUT, DELETE');
  t.equal((await api.inject({ method: 'POST', url: '/health' })).headers.allow, 'GET, HEAD');
});

t.test('a sane request id is kept, any other replaced', async (t) => {
  const idFor = async (given: string) =>
    (await api.inject({ url: '/health', headers: { 'x-request-id': given } })).headers['x-request-id'];
  t.equal(await idFor('0a1b2c3d4e5f'), '0a1b2c3d4e5f');
  for (const bad of ['x', 'a b c d e f g h', '"><script>', 'x'.repeat(65)])
    t.match(await idFor(bad), /^[0-9a-f-]{36}$/);
});

t.test('every answer forbids caching, framing, sniffing and inline code', async (t) => {
  for (const url of ['/dashboard/', '/dashboard/metrics', '/nowhere']) {
    const { headers } = await api.inject(url);
    t.equal(headers['cache-control'], 'no-store', url);
    t.equal(headers['x-content-type-options'], 'nosniff', url);
    t.match(headers['content-security-policy'], "frame-ancestors 'none'", url);
    t.notMatch(headers['content-security-policy'], 'unsafe', url);
  }
});

t.test('no answer allows another origin to read it', async (t) => {
  const answer = await api.inject({ url: '/health', headers: { origin: 'https://evil.example' } });
  t.notOk('access-control-allow-origin' in answer.headers);
});

t.test('the answer tells the number of seconds that the inbox says', async (t) => {
  const error = new InboxUnavailable('full');
  t.match(toProblem(error), {
    status: 503,
    code: 'database_unavailable',
    headers: { 'retry-after': String(error.retryAfterSeconds) },
  });
});
