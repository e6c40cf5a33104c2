/** Bodies that arrive slowly, all at once, or never: memory stays bounded, and honest senders get in. */
import { once } from 'node:events';
import net from 'node:net';
import { PassThrough } from 'node:stream';
import type { FastifyRequest } from 'fastify';
import t from 'tap';
import { BodyBudget, MAX_BYTES_IN_FLIGHT } from '../../src/api/body-budget.ts';
import { listen } from '../../src/api/server.ts';
import { sign } from '../bad-inputs/send.ts';
import { waitFor } from '../helper.ts';
import { testApi } from './client.ts';

const MEGABYTE = 1024 * 1024;
const SECRET = 'current-secret-of-the-tests';

t.test('the budget', async (t) => {
  let now = 0;
  const budget = new BodyBudget(1000, () => now);
  const pending = (length: number | undefined, hasProof = true) => {
    const payload = new PassThrough();
    const answer = new PassThrough();
    const headers = length === undefined ? {} : { 'content-length': String(length) };
    const request = { headers, answer } as unknown as FastifyRequest;
    const body = budget.read(request, payload, { limit: 600, hasProof });
    body.catch(() => undefined); // looked at later
    return { payload, answer, body };
  };
  const refusal = (status: number, code: string) => ({ status, code });

  t.test('counts what is announced before a byte arrives, and what arrived until it is answered', async (t) => {
    const { payload, answer, body } = pending(undefined);
    t.equal(budget.bytesInFlight, 600, 'without a length: as much as may come');
    payload.end('hello');
    t.equal((await body).toString(), 'hello');
    t.equal(budget.bytesInFlight, 5);
    answer.destroy();
    await once(answer, 'close');
    t.equal(budget.bytesInFlight, 0);
  });

  t.test('refuses more than the limit, announced or not, and a body that breaks off', async (t) => {
    await t.rejects(pending(601).body, refusal(413, 'payload_too_large'));
    const endless = pending(undefined);
    endless.payload.write('x'.repeat(601));
    await t.rejects(endless.body, refusal(413, 'payload_too_large'));
    const broken = pending(10);
    broken.payload.write('x');
    broken.payload.destroy();
    await t.rejects(broken.body, refusal(400, 'incomplete_body'));
    t.equal(budget.bytesInFlight, 0, 'none of them holds anything');
  });

  t.test('keeps a body that comes in pieces as it was, and refuses one of thousands of crumbs', async (t) => {
    const generous = new BodyBudget();
    const read = (payload: PassThrough) =>
      generous.read({ headers: {} } as unknown as FastifyRequest, payload, { limit: MEGABYTE, hasProof: true });
    const text = 'a piece, and another piece, and so on '.repeat(3000);
    const whole = new PassThrough();
    const body = read(whole);
    for (let from = 0; from < text.length; from += 71) whole.write(text.slice(from, from + 71));
    whole.end();
    t.equal((await body).toString(), text);
    const crumbs = new PassThrough();
    const refused = read(crumbs);
    refused.catch(() => undefined);
    for (let n = 0; n < 1100; n++) crumbs.write('x');
    await t.rejects(refused, refusal(400, 'too_many_pieces'));
  });

  t.test('refuses at once when it is full of bodies that have only begun', async (t) => {
    const [first, second] = [pending(500), pending(500)];
    await t.rejects(pending(1).body, { ...refusal(503, 'too_busy'), headers: { 'retry-after': '1' } });
    for (const { payload, answer, body } of [first, second]) {
      payload.end('done');
      t.equal((await body).toString(), 'done', 'which lose nothing by it');
      answer.destroy();
    }
    await waitFor('all to be given back', () => budget.bytesInFlight === 0);
  });

  t.test('lets the slowest give way, the unproved before the proved, the oldest first', async (t) => {
    const slow = pending(400);
    now += 1;
    const unproved = pending(400, false);
    now += 1000;
    const newcomer = pending(300);
    await t.rejects(unproved.body, {
      ...refusal(503, 'too_slow'),
      headers: { 'retry-after': '1', connection: 'close' },
    });
    const next = pending(400);
    await t.rejects(slow.body, refusal(503, 'too_slow'));
    await t.rejects(pending(500, false).body, refusal(503, 'too_busy'), 'who proves nothing never drives out who may');
    for (const { payload, answer, body } of [newcomer, next]) {
      payload.end('in');
      t.equal((await body).toString(), 'in');
      answer.destroy();
    }
    await waitFor('all to be given back', () => budget.bytesInFlight === 0);
  });

  t.test('spares a complete body, however long its commit takes', async (t) => {
    const complete = pending(600);
    complete.payload.end('x'.repeat(600));
    await complete.body;
    now += 60_000;
    await t.rejects(pending(500).body, refusal(503, 'too_busy'));
    complete.answer.destroy();
    await waitFor('it to be given back', () => budget.bytesInFlight === 0);
  });
});

t.test('several hundred slow senders', { timeout: 120_000 }, async (t) => {
  const { api } = await testApi(t, { webhookSecrets: [SECRET] });
  const port = Number(new URL(await listen(api, { host: '127.0.0.1', port: 0 })).port);
  const sockets: net.Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  const half = Buffer.alloc(MEGABYTE / 2, 'x');
  const slow = (...headers: string[]) => {
    const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
    socket.resume();
    sockets.push(socket);
    socket.write(`${post(MEGABYTE, ...headers)}`);
    socket.write(half);
  };
  const honest = () => fetch(`http://127.0.0.1:${port}/webhooks/zoho-books/10/invoice/updated`, delivery());
  const isIn = async () => (await honest()).status === 202;

  for (let n = 0; n < 400; n++) slow(`X-Zoho-Webhook-Signature: ${'a'.repeat(64)}`);
  await waitFor('the budget to be full', () => api.bodies.bytesInFlight > MAX_BYTES_IN_FLIGHT - MEGABYTE);
  await waitFor('an honest sender to get in beside those who carry a false signature', isIn);
  t.ok(api.bodies.bytesInFlight <= MAX_BYTES_IN_FLIGHT, 'never more than the budget');

  for (const socket of sockets.splice(0)) socket.destroy();
  await waitFor('their room to be given back', () => api.bodies.bytesInFlight === 0);

  for (let n = 0; n < 200; n++) slow();
  t.equal((await honest()).status, 202, 'who carries no proof at all holds no room');
  t.equal(api.bodies.bytesInFlight, 0);
});

function post(length: number, ...headers: string[]): string {
  const start = ['POST /webhooks/zoho-books/10/invoice/updated HTTP/1.1', 'Host: localhost'];
  const lines = ['Content-Type: application/json', `Content-Length: ${length}`, ...headers];
  return [...start, ...lines, '', ''].join('\r\n');
}

let deliveries = 0;

function delivery(): RequestInit {
  const body = `{"invoice":{"invoice_id":"1","n":${++deliveries},"last_modified_time":"2026-10-31T10:00:00+0000"}}`;
  const headers = { 'content-type': 'application/json', 'x-zoho-webhook-signature': sign(body, SECRET) };
  return { method: 'POST', body, headers };
}
