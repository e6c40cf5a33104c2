/** Senders that are slow on purpose: what they may hold of us, and for how long. */
import type net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { waitFor } from '../helper.ts';
import { startSystem } from '../system.ts';
import { invoice } from './bodies.ts';
import { memoryOf } from './memory.ts';
import { inboxRows } from './run.ts';
import { BODY_LIMIT, CURRENT_SECRET, connect, converse, head, post, type Target } from './send.ts';

const MEGABYTE = 1024 * 1024;
const system = await startSystem(t, { ZOHO_WEBHOOK_SECRET: CURRENT_SECRET });
const at = (t: Target['t'], organization: string): Target => ({ system, url: system.api.url, organization, t });
const body = invoice('"total":598');
const false_proof = `X-Zoho-Webhook-Signature: ${'a'.repeat(64)}`;

t.test('a body that never ends is given up within seconds', { timeout: 60_000 }, async (t) => {
  const target = at(t, 'never');
  const { status, text } = await converse(target, `${head(target, body, 'Content-Length: 500')}${body}`);
  t.equal(status, 408);
  t.match(text, /"code":"request_timeout"/);
  t.equal(await inboxRows(target), 0);
});

t.test('bodies that come byte by byte are ended before they cost much', { timeout: 120_000 }, async (t) => {
  const target = at(t, 'crumbs');
  const before = memoryOf(system.api);
  const start = head(target, '', 'Transfer-Encoding: chunked').replace(/X-Zoho.*/, false_proof);
  const crumbs = Buffer.from(`${start}${'1\r\nx\r\n'.repeat(MEGABYTE)}0\r\n\r\n`);
  let highest = 0;
  let answered = 0;
  const senders = Array.from({ length: 30 }, async () => {
    const { status } = await converse(target, crumbs);
    answered++;
    t.ok([0, 400].includes(status), `it is cut off: ${status}`);
  });
  await waitFor(
    'all of them to be answered',
    () => {
      highest = Math.max(highest, memoryOf(system.api));
      return answered === senders.length;
    },
    60_000,
  );
  const grown = Math.round((highest - before) / MEGABYTE);
  t.ok(grown < 300, `30 bodies of a megabyte took ${grown} MB at most`);
  t.match(system.api.output(), /"problem":"too_many_pieces"/);
});

t.test('4,200 slow senders of a megabyte do not keep an honest one out', { timeout: 180_000 }, async (t) => {
  const target = at(t, 'slow');
  const before = memoryOf(system.api);
  const start = head(target, '', `Content-Length: ${BODY_LIMIT}`).replace(/X-Zoho.*/, false_proof);
  const most = Buffer.alloc(BODY_LIMIT / 2, 'x');
  const flood: net.Socket[] = [];
  t.teardown(() => {
    for (const socket of flood) socket.destroy();
  });
  let highest = 0;
  for (let round = 0; round < 42; round++) {
    for (let n = 0; n < 100; n++) {
      const socket = connect(target.url).on('data', () => undefined);
      socket.write(start);
      socket.write(most);
      flood.push(socket);
    }
    await sleep(20);
    highest = Math.max(highest, memoryOf(system.api));
  }
  const honest = async () => {
    const answer = await post(target, { body }).catch(() => undefined);
    highest = Math.max(highest, memoryOf(system.api));
    return answer?.status === 202;
  };
  await waitFor('an honest sender to get in', honest);
  t.ok(highest - before < 300 * MEGABYTE, `memory grew by ${Math.round((highest - before) / MEGABYTE)} MB at most`);
  t.notMatch(system.api.output(), /"level":"(fatal|error)"/, 'and nothing is logged as an error');
});
