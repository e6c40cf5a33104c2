/** The H cases: requests that are no good HTTP, and clients that behave badly on the wire. */
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { listen } from '../../src/api/server.ts';
import { addDeadLetter, testApi } from '../api/client.ts';
import { waitFor } from '../helper.ts';
import { invoice } from './bodies.ts';
import { memoryOf } from './memory.ts';
import { logLines, type RecordRow, records, type Table } from './run.ts';
import {
  type Answer,
  BODY_LIMIT,
  connect,
  converse,
  get,
  head,
  post,
  postAll,
  type Target,
  untilClosed,
} from './send.ts';

const body = invoice('"total":598');
const refused = { answer: 400, effect: 'nothing' } as const;
const tooLarge = { answer: 413, effect: 'nothing' } as const;
const unsupported = { answer: 415, effect: 'nothing' } as const;
const harmless = { answer: 202, effect: 'mirrored' } as const;

export const http: Table = {
  H01: {
    send: (at) => post(at, { method: 'GET' }),
    answer: 405,
    effect: 'nothing',
    also: (t, _at, [answer]) => t.equal(answer?.headers.allow, 'POST, PUT, DELETE'),
  },
  H03: {
    // Not a byte of the body follows: whoever answers has not read it.
    send: (at) => converse(at, head(at, '', `Content-Length: ${BODY_LIMIT + 1}`)),
    ...tooLarge,
  },
  H04: {
    send: (at) => {
      const chunks = `${BODY_LIMIT.toString(16)}\r\n${'x'.repeat(BODY_LIMIT)}\r\n1\r\nx\r\n`;
      return converse(at, head(at, '', 'Transfer-Encoding: chunked') + chunks);
    },
    ...tooLarge,
    async also(t, at) {
      const before = memoryOf(at.system.api);
      for (let round = 0; round < 20; round++) await converse(at, (socket) => sendEndlessChunks(at, socket));
      t.ok(
        memoryOf(at.system.api) - before < 64 * 1024 * 1024,
        'who sends without end is cut off, and memory stays flat',
      );
    },
  },
  H06: {
    send: (at) => converse(at, `${head(at, 'wrong', 'Content-Length: 5').replace('close', 'keep-alive')}helloWORLD`),
    ...refused,
    also: (t, _at, [answer]) => t.notMatch(answer?.text, /HTTP\/1.1 2/, 'neither part was accepted'),
  },
  H07: {
    send: (at) => converse(at, `${head(at, body, 'Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n`),
    ...refused,
  },
  H09: {
    send: (at) =>
      Promise.all(
        ['xchunked', 'chunked, identity', 'identity', 'chunked\u000b'].map((coding) =>
          converse(at, `${head(at, body, `Transfer-Encoding: ${coding}`)}0\r\n\r\n`),
        ),
      ),
    ...refused,
  },
  H10: { send: (at) => converse(at, head(at, body, 'Content-Length: 0').replaceAll('\r\n', '\n')), ...refused },
  H12: { send: (at) => converse(at, head(at, body, 'X-A: a\0b', 'Content-Length: 0')), ...refused },
  H14: {
    send: (at) => {
      const headers = Array.from({ length: 2000 }, (_, n) => `X-${n}: 1`);
      return converse(at, head(at, body, ...headers, 'Content-Length: 0'));
    },
    answer: 431,
    effect: 'nothing',
  },
  H16: { send: (at) => converse(at, (socket) => sendByteBySecond(at, socket)), answer: 408, effect: 'nothing' },
  H18: {
    send: (at) => postBesideIdleConnections(at, 2000),
    ...harmless,
    also: (t, at) => isServedInAFlood(t, at, 4100),
  },
  H19: {
    send: (at) => neverReadALargeAnswer(at),
    answer: 0,
    effect: 'nothing',
  },
  H21: { send: (at) => converse(at, 'GET /livez HTTP/1.1\r\n\r\n'), ...refused },
  H23: {
    send: (at) => {
      const request = head(at, body, `Content-Length: ${body.length}`) + body;
      return converse(at, request.replace('/webhooks', 'http://evil.example/webhooks'));
    },
    ...harmless,
  },
  H25: {
    async send(at) {
      const before = logLines(at.system, 'request could not be read').length;
      const answer = await converse(at, Buffer.from('16030100fa010000f60303', 'hex'));
      const logged = () => logLines(at.system, 'request could not be read');
      await waitFor('a log line', () => logged().length > before);
      at.t.equal(logged().length, before + 1, 'one log line');
      at.t.notMatch(logged().at(-1), /"stack"/);
      return answer;
    },
    ...refused,
  },
  H26: { send: (at) => converse(at, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), ...refused },
  H27: {
    send: (at) => converse(at, head(at, '', 'Expect: 100-continue', `Content-Length: ${BODY_LIMIT + 1}`)),
    ...tooLarge,
    also: (t, _at, [answer]) => t.notMatch(answer?.text, /100 Continue/, 'the body was never invited'),
  },
  H29: {
    send: (at) => post(at, { body, headers: { 'x-forwarded-for': '203.0.113.9', 'x-forwarded-proto': 'https' } }),
    ...harmless,
    async also(t, { system }, [answer]) {
      const { rows } = await system.pool.query('select ip from tds_inbox_payloads where event_id = $1', [
        JSON.parse(answer?.text ?? '').event_id,
      ]);
      t.equal(rows[0]?.ip, '127.0.0.1', 'the peer is who it is');
    },
  },
  H30: {
    send: (at) => post(at, { body, headers: { 'x-http-method-override': 'DELETE' } }),
    ...harmless,
    also: async (t, at) => t.equal((await records(at))[0]?.deleted_at, null as unknown as RecordRow['deleted_at']),
  },
  H31: { send: (at) => post(at, { body, headers: { 'content-encoding': 'gzip' } }), ...unsupported },
  H33: {
    send: (at) =>
      postAll(at, [
        ...['text/xml', 'text/plain', 'multipart/form-data; boundary=x', 'application/jsonp', '', 'nonsense'].map(
          (contentType) => ({ body, contentType }),
        ),
        { body, contentType: null },
      ]),
    ...unsupported,
  },
  H35: {
    send: (at) =>
      converse(at, (socket) => {
        const request = head(at, body, `Content-Length: ${body.length}`) + body.slice(0, body.length / 2);
        socket.write(request, () => socket.resetAndDestroy());
      }),
    answer: 0,
    effect: 'nothing',
    async also(t, at) {
      t.equal((await get(at, '/livez')).status, 200, 'the API lives on');
      t.notMatch(at.system.api.output(), /unhandled|uncaught/);
    },
  },
};

/** As much as the other side takes. */
function sendEndlessChunks(at: Target, socket: net.Socket): void {
  socket.write(head(at, '', 'Transfer-Encoding: chunked'));
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  };
  socket.on('drain', more);
  more();
}

/** Meanwhile somebody else is served as quickly as ever. */
async function sendByteBySecond(at: Target, socket: net.Socket): Promise<void> {
  const request = head(at, body);
  const closed = untilClosed(socket);
  for (let sent = 0; !socket.destroyed && socket.writable; sent++) {
    socket.write(request[sent] ?? 'x');
    at.t.equal((await get(at, '/livez')).status, 200);
    await Promise.race([sleep(1000), closed]);
  }
}

/** Closed when the case is over, however it ends. */
function openConnections({ t, url }: Target, count: number): net.Socket[] {
  const sockets = Array.from({ length: count }, () => connect(url));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  return sockets;
}

async function postBesideIdleConnections(at: Target, count: number): Promise<Answer> {
  const idle = openConnections(at, count);
  await Promise.all(idle.map((socket) => once(socket, 'connect')));
  const held = () => readdirSync(`/proc/${at.system.api.child.pid}/fd`).length >= count;
  await waitFor(`the API to hold ${count} connections`, held);
  return post(at, { body });
}

/** More connections than the API holds: those that say nothing make room, long before their time-out of 10 s. */
async function isServedInAFlood(t: Test, at: Target, count: number): Promise<void> {
  const flood = openConnections(at, count);
  await Promise.all(flood.map((socket) => Promise.race([once(socket, 'connect'), untilClosed(socket)])));
  const newcomer = () => converse(at, 'GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  await waitFor('an answer to a newcomer', async () => (await newcomer()).status === 200);
  t.ok(
    flood.some((socket) => socket.destroyed),
    'the silent ones had to go',
  );
}

/** In this process, because the real patience of a minute and a quarter is too long for a test. */
async function neverReadALargeAnswer({ t }: Target): Promise<Answer> {
  const { api, db } = await testApi(t);
  const url = await listen(api, { host: '127.0.0.1', port: 0 });
  t.ok(api.server.timeout > 0 && api.server.timeout <= 120_000, 'a connection on which nothing moves ends');
  api.server.setTimeout(300);
  for (let letter = 0; letter < 20; letter++) await addDeadLetter(db, `{"notes":"${'x'.repeat(BODY_LIMIT - 100)}"}`);
  const capped = await api.inject('/dashboard/dead-letter?limit=200');
  t.ok(capped.body.length < 20 * 1024 * 1024 && capped.headers['x-next-cursor'], 'the answer is capped, and goes on');

  const accepted = once(api.server, 'connection');
  const client = connect(url);
  client.write('GET /dashboard/dead-letter?limit=200 HTTP/1.1\r\nHost: localhost\r\n\r\n');
  const [connection] = await accepted;
  await untilClosed(connection);
  client.destroy();
  return { status: 0, headers: {}, text: '', sent: Buffer.alloc(0) };
}
