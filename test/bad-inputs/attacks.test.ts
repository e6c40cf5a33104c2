import t from 'tap';
import { FORM } from '../pipeline/zoho.ts';
import { startApi, startSystem } from '../system.ts';
import { invoice } from './bodies.ts';
import { TOKENS } from './operators.ts';
import { inboxRows } from './run.ts';
import { CURRENT_SECRET, converse, get, head, post, sign, type Target } from './send.ts';

const system = await startSystem(t, { ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
const at = (t: Target['t'], organization: string): Target => ({ system, url: system.api.url, organization, t });
const body = invoice('"total":598');
const false_proof = `X-Zoho-Webhook-Signature: ${'a'.repeat(64)}`;

t.test('a path of nothing but leftovers costs a stranger nothing and us no more', async (t) => {
  for (const path of [`/${'&'.repeat(15_900)}x`, `/${'&?'.repeat(7_900)}`, `/x/${'%26'.repeat(5_000)}x`]) {
    const answer = await post(at(t, 'leftovers'), { body, to: path, signature: null });
    t.equal(answer.status, 401, path.slice(0, 9));
  }
  const long = `/${'&'.repeat(15_000)}x`;
  const kept = await post(at(t, 'leftovers'), { body, to: `${long}/updated` });
  t.match(JSON.parse(kept.text), { status: 'quarantined' }, 'an authentic one is kept all the same');
});

t.test('headers that come twice prove nothing', async (t) => {
  const target = at(t, 'twice');
  const good = `X-Zoho-Webhook-Signature: ${sign(body)}`;
  const request = (...lines: string[]) =>
    [
      'POST /webhooks/zoho-books/twice HTTP/1.1',
      'Host: localhost',
      'Connection: close',
      'Content-Type: application/json',
      `Content-Length: ${body.length}`,
      ...lines,
      '',
      body,
    ].join('\r\n');
  t.equal((await converse(target, request(good, false_proof))).status, 401);
  t.equal((await converse(target, request(false_proof, good))).status, 401);
  t.equal(
    (await converse(target, request(`X-Zoho-Webhook-Signature:\t${sign(body)} `))).status,
    202,
    'blanks are none',
  );
  t.equal((await converse(target, request(good, 'Content-Length: 5'))).status, 400);
});

t.test('no spelling of a path gets past the demand for a token', async (t) => {
  const tokens = `ali:admin:${TOKENS.admin}`;
  const settings = { DATABASE_URL: system.url, ZOHO_WEBHOOK_SECRET: CURRENT_SECRET, OPERATOR_TOKENS: tokens };
  for (const BASE_PATH of ['', '/tds']) {
    const { origin } = new URL((await startApi(t, { ...settings, BASE_PATH })).url);
    const ask = (path: string) => {
      const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
      return converse({ ...at(t, 'paths'), url: origin }, request);
    };
    const spellings = [
      ...[
        '/dashboard/metrics',
        '/dashboard/metrics/',
        '//dashboard/metrics',
        '/dashboard//metrics',
        '/DASHBOARD/metrics',
      ],
      ...[
        '/dashboard/metrics;a=1',
        '/dashboard/metrics%2f',
        '/dashboard%2Fmetrics',
        '/%64ashboard/metrics',
        '/./dashboard/metrics',
      ],
      ...[
        '/x/../dashboard/metrics',
        '/health/../dashboard/metrics',
        '/health/..%2fdashboard/metrics',
        '/dashboard/metrics%00',
      ],
      ...[
        'http://localhost/dashboard/metrics',
        'HTTP://x@y/dashboard/metrics',
        '/dashboard/metrics#x',
        '/dashboard/metrics?&',
      ],
      ...['/docs/json', '/docs/yaml', '/docs//json', '/docs/./json', '/docs/static/../json', '/docs/static/..%2fjson'],
    ];
    for (const path of [
      ...spellings,
      ...spellings.map((one) => `/tds${one}`),
      ...spellings.map((one) => `/tds/tds${one}`),
    ]) {
      const { status, text } = await ask(path);
      t.ok([400, 401, 403, 404, 405].includes(status), `${BASE_PATH} ${path}: ${status}`);
      t.notMatch(text, /"by_status"|"openapi"/, path);
    }
  }
});

t.test('names that are nearly this machine are another', async (t) => {
  const { url } = await startApi(t, { DATABASE_URL: system.url });
  const hosts = [
    'localhost.',
    'localhost:80:80',
    '127.0.0.1.',
    '127.0.0.1@evil.example',
    '[::1',
    '::1]',
    'local host',
    '0',
    '127.1',
  ];
  for (const host of [
    ...hosts,
    'localhost,evil.example',
    'evil.example:localhost',
    '[::ffff:10.0.0.1]',
    'localhost%00',
  ])
    for (const path of ['/dashboard/queue-stats', '/webhooks/zoho-books/1/contact/deleted']) {
      const method = path.startsWith('/webhooks') ? 'POST' : 'GET';
      const lines = [
        `${method} ${path} HTTP/1.1`,
        `Host: ${host}`,
        'Content-Type: application/json',
        'Content-Length: 2',
      ];
      const { status } = await converse(
        { ...at(t, 'hosts'), url },
        [...lines, 'Connection: close', '', '{}'].join('\r\n'),
      );
      t.ok([400, 403].includes(status), `${host} ${path}: ${status}`);
    }
  const old = await converse({ ...at(t, 'hosts'), url }, 'GET /dashboard/queue-stats HTTP/1.0\r\n\r\n');
  t.equal(old.status, 403, 'without any Host, as HTTP/1.0 allows');
});

t.test('parameters that are lists, objects or prototypes are refused or ignored', async (t) => {
  const target = at(t, 'parameters');
  const refused = ['limit=1&limit=2', 'limit=', 'limit=1e9', 'limit=-1', 'limit=1.5', 'status_filter=', 'cursor='];
  for (const query of [
    ...refused,
    'status_filter=pending&status_filter=retry',
    'cursor=a&cursor=b',
    `cursor=${'A'.repeat(9000)}`,
  ])
    t.equal((await get(target, `/dashboard/recent-events?${query}`)).status, 400, query.slice(0, 40));
  for (const query of [
    'limit[]=1',
    '__proto__[limit]=1',
    'constructor.prototype.limit=1',
    '%00=1',
    `${'a=&'.repeat(5000)}`,
  ])
    t.equal((await get(target, `/dashboard/recent-events?${query}`)).status, 200, query.slice(0, 40));
});

t.test('upgrades, trailers and pipelines change nothing', async (t) => {
  const target = at(t, 'protocol');
  const upgrade = [
    'GET /livez HTTP/1.1',
    'Host: localhost',
    'Connection: upgrade, close',
    'Upgrade: websocket',
    '',
    '',
  ];
  t.ok([200, 400, 426].includes((await converse(target, upgrade.join('\r\n'))).status), 'an upgrade opens no tunnel');
  const chunked = head(target, body, 'Transfer-Encoding: chunked', 'Trailer: X-Zoho-Webhook-Signature');
  const forged = chunked.replace(sign(body), 'b'.repeat(64));
  const trailed = `${forged}${body.length.toString(16)}\r\n${body}\r\n0\r\nX-Zoho-Webhook-Signature: ${sign(body)}\r\n\r\n`;
  t.equal((await converse(target, trailed)).status, 401, 'a trailer proves nothing');
  const one = 'GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const last = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const { text } = await converse(target, one.repeat(500) + last);
  t.equal(text.match(/HTTP\/1\.1 200/g)?.length, 501, 'a pipeline is answered in full');
  t.equal(await inboxRows(target), 0);
});

/** Requests that are nearly right, and the statuses they may get; 0: the connection ends without one. */
const WIRE: Record<string, [lines: string[], body: string, statuses: number[]]> = {
  'two lengths that differ': [[`Content-Length: ${body.length}`, 'Content-Length: 5'], body, [400]],
  'two equal lengths': [[`Content-Length: ${body.length}`, `Content-Length: ${body.length}`], body, [400]],
  'a negative length': [['Content-Length: -1'], body, [400]],
  'a length with a sign': [[`Content-Length: +${body.length}`], body, [400]],
  'a length beyond all numbers': [['Content-Length: 99999999999999999999'], body, [400, 413]],
  'a folded header': [['X-A: a', ' b', `Content-Length: ${body.length}`], body, [202, 400]],
  'a blank before a colon': [['X-A : a', `Content-Length: ${body.length}`], body, [400]],
  'a header of 20 kB': [[`X-A: ${'a'.repeat(20_000)}`, `Content-Length: ${body.length}`], body, [431]],
  'an expectation nobody knows': [['Expect: 200-ok', `Content-Length: ${body.length}`], body, [417, 400]],
  'a chunk whose size is no number': [['Transfer-Encoding: chunked'], `zz\r\n${body}\r\n0\r\n\r\n`, [400]],
  'a chunk larger than all memory': [['Transfer-Encoding: chunked'], `ffffffffffffffff\r\n${body}`, [400, 408, 413]],
  'a chunk with an endless extension': [
    ['Transfer-Encoding: chunked'],
    `1;${'a'.repeat(20_000)}\r\nx\r\n0\r\n\r\n`,
    [400, 413, 431],
  ],
  'a coding in capitals and blanks': [
    ['Transfer-Encoding:  CHUNKED '],
    `${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`,
    [202, 400],
  ],
  'a body compressed twice': [['Content-Encoding: gzip, br', `Content-Length: ${body.length}`], body, [415]],
  'a signature with the name of its method': [
    [`X-Zoho-Webhook-Signature: sha256=${sign(body)}`, `Content-Length: ${body.length}`],
    body,
    [401],
  ],
  'a charset of two bytes': [
    ['Content-Type: application/json; charset=utf-16', `Content-Length: ${body.length}`],
    body,
    [202, 415],
  ],
};

t.test('requests that are nearly right', async (t) => {
  for (const [name, [lines, sent, statuses]] of Object.entries(WIRE)) {
    const own = lines.some((line) => line.startsWith('X-Zoho')) ? [] : [`X-Zoho-Webhook-Signature: ${sign(body)}`];
    const type = lines.some((line) => line.startsWith('Content-Type')) ? [] : ['Content-Type: application/json'];
    const start = ['POST /webhooks/zoho-books/wire HTTP/1.1', 'Host: localhost', 'Connection: close', ...own, ...type];
    const { status } = await converse(at(t, 'wire'), [...start, ...lines, '', sent].join('\r\n'));
    t.ok(statuses.includes(status), `${name}: ${status}`);
  }
  const longest = `GET /${'x'.repeat(17_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  t.ok([414, 431].includes((await converse(at(t, 'wire'), longest)).status), 'an endless URL');
});

t.test('the same delivery twenty times at once is one event', async (t) => {
  const target = at(t, 'race');
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(target, { body })));
  const told = answers.map(({ text }) => JSON.parse(text));
  t.equal(new Set(told.map(({ event_id }) => event_id)).size, 1);
  t.equal(told.filter(({ duplicate }) => !duplicate).length, 1);
  t.equal(await inboxRows(target), 1);
});

t.test('what a client says of itself stays out of the log, and breaks no line of it', async (t) => {
  const target = at(t, 'client');
  const headers = {
    'user-agent': 'ali@example.com +964 770 123 4567',
    referer: 'https://x/?mail=ali@example.com',
    from: 'ali@example.com',
  };
  await post(target, { body, headers });
  await get(target, '/dashboard/metrics', { headers: { ...headers, 'x-request-id': 'ali.hassan@example.com' } });
  t.notMatch(system.api.output(), /ali@|ali\.hassan|964 770/);
  for (const line of system.api.output().trim().split('\n')) t.doesNotThrow(() => JSON.parse(line));
});

t.test('no mixture of values makes any operation fail on our side', async (t) => {
  const { paths } = JSON.parse((await get(at(t, 'fuzz'), '/docs/json')).text) as { paths: Record<string, object> };
  const id = '00000000-0000-4000-8000-000000000001';
  const values = [
    ...[
      id,
      id.toUpperCase(),
      `urn:uuid:${id}`,
      `{${id}}`,
      id.replaceAll('-', ''),
      `${id}0`,
      '0',
      '-1',
      'NaN',
      'null',
      'true',
    ],
    ...["' or 1=1--", '%00', '%ff', '..%2f..', '\u{1f4a9}', '9'.repeat(400), '1e999', 'infinity', '[]', '{}', '*', ' '],
    ...[
      '2026-02-30',
      '0000-00-00T00:00:00Z',
      Buffer.from(`2|events|2026-02-30 00:00:00+00|${id}`).toString('base64url'),
    ],
  ];
  const names = ['limit', 'cursor', 'status_filter', 'verbose', 'hours', 'period', 'q', 'constructor', 'id'];
  let seed = 20_261_125;
  const pick = <T>(list: readonly T[]): T => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return list[Math.floor((seed / 2 ** 32) * list.length)] as T;
  };
  const statuses = new Map<number, number>();
  for (const [path, methods] of Object.entries(paths).filter(([path]) => !path.startsWith('/webhooks'))) {
    for (let round = 0; round < 60; round++) {
      const method = pick(Object.keys(methods)).toUpperCase();
      const url = path.replace(/\{\w+\}/g, () => encodeURIComponent(pick(values)));
      const query = [1, 2].map(() => `${pick(names)}=${encodeURIComponent(pick(values))}`).join('&');
      const body =
        method === 'GET' ? {} : { body: pick(['', '{}', '[]', '{"reason":1}', 'null', '{"__proto__":1}', '{']) };
      const headers = method === 'GET' ? {} : { headers: { 'content-type': pick(['application/json', FORM]) } };
      const { status, text } = await get(at(t, 'fuzz'), `${url}?${query}`, { method, ...headers, ...body });
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      if (status >= 500) t.fail(`${method} ${url}?${query}: ${text}`);
    }
  }
  t.ok((statuses.get(200) ?? 0) > 50 && (statuses.get(400) ?? 0) > 50, `answers: ${[...statuses].join('; ')}`);
});
