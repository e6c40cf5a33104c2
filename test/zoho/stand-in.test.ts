/** The stand-in itself: what other tests rely on when they say that the mirror equals it. */

import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { parseDelivery } from '../../src/inbox/parse.ts';
import { verifySignature } from '../../src/inbox/signature.ts';
import { pullModuleNamed } from '../../src/zoho/modules/pull-modules.ts';
import { Random } from '../faults/random.ts';
import { type TestDatabase, testDatabase } from '../helper.ts';
import { Books } from './books.ts';
import { clientOf, failureOf } from './calling.ts';
import { Limits } from './limits.ts';
import { StandIn } from './stand-in.ts';
import { WebhookSender } from './webhooks.ts';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

const TURN = { lane: 'refetch' } as const;
const LIMITS = { callsPerMinute: 100_000, callsInFlight: 10 };
let organizations = 0;

async function world(t: Test) {
  const standIn = await StandIn.start(t, { organizationId: `organization ${++organizations}`, limits: LIMITS });
  const client = clientOf(standIn, database.db, { limits: LIMITS });
  /** Ids of the whole list, page by page. */
  const ids = async (kind: 'invoice' | 'contact') => {
    const found: string[] = [];
    for (let page = 1, more = true; more; page++) {
      const { rows, hasMore } = await client.listPage(pullModuleNamed(kind), { page }, TURN);
      found.push(...rows.map(({ id }) => id));
      more = hasMore;
    }
    return found;
  };
  return { standIn, api: standIn.api, books: standIn.books, client, ids };
}

t.test('20,000 records are made by rule and listed once each', async (t) => {
  const { books, ids } = await world(t);
  books.fill({ invoice: 20_000 });
  const listed = await ids('invoice');
  t.equal(new Set(listed).size, 20_000);
  t.equal(new Books().fill({ invoice: 20_000 }).live('invoice').at(-1)?.id, listed[0], 'the same each time');
});

t.test('a record that is made between two pages shifts the rows: one comes twice', async (t) => {
  const { api, books, ids } = await world(t);
  books.fill({ invoice: 400 });
  api.onPage = (kind, page) => page === 2 && kind === 'invoice' && books.create('invoice');
  const listed = await ids('invoice');
  t.equal(listed.length, 401);
  t.equal(new Set(listed).size, 400);
});

t.test('a record that is deleted between two pages hides another', async (t) => {
  const { api, books, ids } = await world(t);
  books.fill({ invoice: 400 });
  const newest = books.live('invoice').at(-1);
  api.onPage = (_, page) => page === 2 && newest && books.delete(newest);
  const listed = new Set(await ids('invoice'));
  t.equal(books.live('invoice').filter(({ id }) => !listed.has(id)).length, 1);
});

t.test('a deleted record may linger in lists while its own path says that it is gone', async (t) => {
  const { books, client, ids } = await world(t);
  books.fill({ invoice: 3 });
  const [entry] = books.live('invoice');
  if (!entry) return t.fail('no invoice');
  books.delete(entry, { lingering: true });
  t.ok((await ids('invoice')).includes(entry.id));
  t.equal(await client.detail(pullModuleNamed('invoice'), entry.id, TURN), null);
  books.settle();
  t.notOk((await ids('invoice')).includes(entry.id));
});

t.test('a role sees only its own records, and others are forbidden rather than gone', async (t) => {
  const { api, books, client, ids } = await world(t);
  books.fill({ contact: 9 });
  api.role = 'ann';
  t.equal((await ids('contact')).length, 3);
  const other = books.live('contact').find(({ owner }) => owner === 'bob');
  t.match(await failureOf(client.detail(pullModuleNamed('contact'), other?.id ?? '', TURN)), {
    problem: 'unauthorized',
  });
});

t.test('limits count what came within any window, at once and in a day', async (t) => {
  const limits = new Limits({ callsPerMinute: 2, callsInFlight: 2, callsPerDay: 4 });
  t.strictSame([limits.arrive(), limits.arrive(), limits.arrive()], [undefined, undefined, 44]);
  limits.options.callsPerMinute = 100;
  t.equal(limits.arrive(), 1070);
  for (let n = 0; n < 4; n++) limits.leave();
  t.strictSame([limits.arrive(), limits.arrive(), limits.arrive(), limits.arrive()], [undefined, undefined, 45, 45]);
  t.strictSame(limits.violations, ['per-minute', 'in-flight', 'per-day', 'after-day-limit']);
});

type Received = { path: string; body: Buffer; signature: string };

/** A receiver of webhooks that keeps what comes. */
async function receiver(t: Test) {
  const received: Received[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const signature = String(request.headers['x-zoho-webhook-signature']);
    received.push({ path: request.url ?? '', body: Buffer.concat(chunks), signature });
    response.writeHead(202).end('{}');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.close();
    server.closeAllConnections();
  });
  return { received, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

t.test('webhooks are signed, and say what the API says', async (t) => {
  const { received, url } = await receiver(t);
  const books = new Books().fill({ invoice: 1 });
  const secret = 'a-secret-of-24-characters';
  const sender = new WebhookSender(books, { url, organizationId: '1', secret, random: new Random(1) });
  const [entry] = books.live('invoice');
  if (!entry) return t.fail('no invoice');
  books.change(entry);
  const changed = books.detail(entry);
  books.delete(entry);
  await sender.flush();
  t.strictSame(
    received.map(({ path }) => path),
    ['/webhooks/zoho-books/1/invoice/updated', '/webhooks/zoho-books/1/invoice/deleted'],
  );
  t.equal(String(received[0]?.body), `{"invoice":${changed}}`);
  for (const { path: _, body, signature } of received)
    t.equal(
      verifySignature({ header: signature, query: '', contentType: 'application/json', body, secrets: [secret] }),
      0,
    );
  const [first] = received;
  const parsed =
    first &&
    parseDelivery({ body: first.body, contentType: 'application/json', method: 'POST', defaultOrganization: '1' });
  t.match(parsed, { kind: 'delivery', delivery: { entityId: entry.id, module: 'invoice' } });
});

t.test(
  'webhooks get lost, doubled, reordered and cut short as often as asked, the same for the same seed',
  async (t) => {
    const run = async () => {
      const { received, url } = await receiver(t);
      const books = new Books();
      const shares = { dropped: 0.1, doubled: 0.1, reordered: 0.1, partial: 0.1 };
      const sender = new WebhookSender(books, { url, organizationId: '1', random: new Random(7), ...shares });
      for (let n = 0; n < 200; n++) books.create('invoice');
      await sender.flush();
      const numbers = received.map(({ body }) => /"invoice_id":"(\d+)"/.exec(String(body))?.[1] ?? '');
      return { sender, numbers };
    };
    const [{ sender, numbers }, again] = [await run(), await run()];
    t.ok(sender.dropped.length > 5 && sender.dropped.length < 50, `${sender.dropped.length} dropped`);
    t.ok(sender.partial.length > 5, `${sender.partial.length} partial`);
    t.equal(new Set(numbers).size, 200 - sender.dropped.length);
    t.ok(numbers.length > new Set(numbers).size, 'some twice');
    t.ok(
      numbers.some((id, n) => id < (numbers[n - 1] ?? '')),
      'some out of order',
    );
    t.strictSame(numbers, again.numbers);
  },
);
