import net from 'node:net';
import t from 'tap';
import { listen } from '../../src/api/server.ts';
import { testApi } from './client.ts';

const { api, pool } = await testApi(t, { bodyLimit: 2000 });
const url = new URL(await listen(api, { host: '127.0.0.1', port: 0 }));

const POST =
  'POST /webhooks/zoho-books/1/invoice/updated HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
const BODY = '{"invoice":{"invoice_id":"1"}}';

/** Raw bytes that are no acceptable request, and the statuses they may get. */
const CASES: [name: string, bytes: string, statuses: number[]][] = [
  [
    'Content-Length together with Transfer-Encoding',
    `${POST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    [400],
  ],
  ['an unknown Transfer-Encoding', `${POST}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`, [400]],
  ['lines that end in LF only', 'GET /health HTTP/1.1\nHost: localhost\n\n', [400]],
  ['NUL in a header', 'GET /health HTTP/1.1\r\nHost: localhost\r\nX-A: a\0b\r\n\r\n', [400]],
  ['no Host', 'GET /health HTTP/1.1\r\n\r\n', [400]],
  ['TLS on the plain port', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
  ['the HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400]],
  ['2,000 headers', `GET /health HTTP/1.1\r\nHost: localhost\r\n${many(2000)}\r\n`, [400, 431]],
  ['150 headers', `GET /health HTTP/1.1\r\nHost: localhost\r\n${many(150)}\r\n`, [431]],
  [
    'an oversized body that waits for 100 Continue',
    `${POST}Expect: 100-continue\r\nContent-Length: 3000\r\n\r\n`,
    [413],
  ],
  ['an oversized body, announced', `${POST}Content-Length: 3000\r\n\r\n`, [413]],
  ['an oversized body in chunks', `${POST}Transfer-Encoding: chunked\r\n\r\nbb8\r\n${'x'.repeat(3000)}\r\n`, [413]],
];

for (const [name, bytes, statuses] of CASES) {
  t.test(`${name} is refused and the connection closed`, async (t) => {
    const answer = await exchange(bytes);
    t.ok(statuses.includes(statusOf(answer)), answer.split('\r\n')[0] ?? '');
    t.notMatch(answer, '100 Continue');
  });
}

t.test('bytes behind a body are no second request', async (t) => {
  const answer = await exchange(`${POST}Content-Length: ${BODY.length}\r\n\r\n${BODY}SMUGGLED`);
  t.match(answer, 'HTTP/1.1 400');
  t.notMatch(answer, 'HTTP/1.1 404');
});

t.test('what the parser refuses is answered as a problem', async (t) => {
  const answer = await exchange('GET /health HTTP/1.1\nHost: localhost\n\n');
  t.match(answer, 'application/problem+json');
  t.match(JSON.parse(answer.split('\r\n\r\n')[1] ?? ''), {
    status: 400,
    code: 'malformed_request',
    request_id: String,
  });
});

t.test('an acceptable body that waits for 100 Continue is invited', async (t) => {
  const answer = await exchange(
    `${POST}Expect: 100-continue\r\nConnection: close\r\nContent-Length: ${BODY.length}\r\n\r\n${BODY}`,
  );
  t.match(answer, '100 Continue');
  t.match(answer, 'HTTP/1.1 202');
});

t.test('a sender that breaks off in the middle of a body leaves no row', async (t) => {
  const before = await pool.query('select count(*) from tds_inbox_events');
  const socket = net.connect(Number(url.port), url.hostname);
  socket.on('error', () => undefined);
  socket.write(`${POST}Content-Length: 1000\r\n\r\n{"invoice"`, () => socket.resetAndDestroy());
  await new Promise((resolve) => socket.once('close', resolve));
  t.equal((await fetch(new URL('/health', url))).status, 200);
  t.same((await pool.query('select count(*) from tds_inbox_events')).rows, before.rows);
});

function many(count: number): string {
  return Array.from({ length: count }, (_, n) => `X-${n}: 1\r\n`).join('');
}

/** Sends bytes and reads until the server closes. */
function exchange(bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(Number(url.port), url.hostname);
    let answer = '';
    socket.setEncoding('latin1').on('data', (text) => (answer += text));
    socket.on('close', () => resolve(answer)).on('error', (error) => (answer ? resolve(answer) : reject(error)));
    socket.write(Buffer.from(bytes, 'latin1'));
  });
}

function statusOf(answer: string): number {
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1]);
}
