import t, { type Test } from 'tap';
import type { ClientOptions, ListPage, Turn } from '../../src/zoho/client/client.ts';
import { fetchDetails } from '../../src/zoho/client/details.ts';
import { pullModuleNamed } from '../../src/zoho/modules/pull-modules.ts';
import { reachedMark, strategyAfterPage } from '../../src/zoho/modules/strategy.ts';
import { type TestDatabase, testDatabase, waitFor } from '../helper.ts';
import { clientOf, failureOf } from './calling.ts';
import type { Fault } from './faults.ts';
import { StandIn } from './stand-in.ts';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

const invoice = pullModuleNamed('invoice');
const item = pullModuleNamed('item');
const TURN: Turn = { lane: 'refetch' };

let organizations = 0;

async function world(t: Test, options: Partial<ClientOptions> = {}) {
  const standIn = await StandIn.start(t, {
    organizationId: `organization ${++organizations}`,
    limits: { callsPerMinute: 10_000, callsInFlight: 10 },
  });
  standIn.accounts.refreshToken = `refresh-token-${organizations}`;
  const limits = { callsPerMinute: 10_000, callsInFlight: 10 };
  return { standIn, books: standIn.books, client: clientOf(standIn, database.db, { limits, ...options }) };
}

const ids = (page: ListPage) => page.rows.map(({ id }) => id);

t.test('a list is read page by page, and no digit of it is lost', async (t) => {
  const { books, client } = await world(t);
  books.fill({ invoice: 250 });
  const first = await client.listPage(invoice, { page: 1, withTotal: true }, TURN);
  const second = await client.listPage(invoice, { page: 2 }, TURN);
  t.match(first, { hasMore: true, total: 250, unusable: [] });
  t.match(second, { hasMore: false, total: null });
  const live = books.live('invoice').reverse();
  t.strictSame(
    [...ids(first), ...ids(second)],
    live.map(({ id }) => id),
  );
  t.strictSame(
    [...first.rows, ...second.rows].map(({ text }) => text),
    live.map((entry) => books.row(entry)),
  );
  const many = live.find(({ nth }) => nth === 97);
  const row = first.rows.find(({ id }) => id === many?.id);
  t.match(row?.text, /"total":90071992547409000097\.01\b/);
  t.equal(row?.version?.getTime(), (many?.changedAt ?? 0) * 1000);
});

t.test('rows with the same content have the same hash, and a change has another', async (t) => {
  const { books, client } = await world(t);
  books.fill({ contact: 1 });
  const contact = pullModuleNamed('contact');
  const hash = async () => (await client.listPage(contact, { page: 1 }, TURN)).rows[0]?.hash;
  const before = await hash();
  t.equal(await hash(), before);
  const [entry] = books.live('contact');
  if (entry) books.change(entry, { silently: true });
  t.not(await hash(), before);
});

t.test('a full record comes with its lines; one that does not exist is null', async (t) => {
  const { books, client } = await world(t);
  books.fill({ invoice: 2, customerpayment: 1 });
  const [entry, gone] = books.live('invoice');
  if (!entry || !gone) return t.fail('no invoices');
  t.equal((await client.detail(invoice, entry.id, TURN))?.text, books.detail(entry));
  books.delete(gone, { lingering: true });
  t.equal(await client.detail(invoice, gone.id, TURN), null);
  t.equal(await client.detail(invoice, '404', TURN), null);
  const [payment] = books.live('customerpayment');
  const found = await client.detail(pullModuleNamed('customerpayment'), payment?.id ?? '', TURN);
  t.equal(found?.version?.getTime(), (payment?.changedAt ?? 0) * 1000, 'which calls its time updated_time');
});

t.test('a wrong answer is a failure, never an empty page or a deleted record', async (t) => {
  const { standIn, books, client } = await world(t, { timeoutMs: 300 });
  books.fill({ invoice: 1 });
  const [entry] = books.live('invoice');
  const expected: [Fault, Record<string, unknown>][] = [
    ['html', { problem: 'unreadable', tag: 'ServiceUnavailableError', message: /HTML instead of JSON/ }],
    ['html-404', { problem: 'unreadable' }],
    ['unknown-path', { problem: 'refused', permanent: true, code: 5 }],
    ['broken-json', { problem: 'unreadable' }],
    ['missing-key', { problem: 'unreadable', permanent: false }],
    ['error-500', { problem: 'unavailable', status: 500, message: /Internal Error/ }],
    ['error-503', { problem: 'unavailable', status: 503 }],
    ['error-in-200', { problem: 'refused', tag: 'ValidationError', permanent: true, code: 2 }],
    ['silence', { problem: 'timeout', tag: 'TimeoutError', message: /within 300 ms/ }],
    ['reset', { problem: 'network', tag: 'NetworkError', message: /ECONNRESET|other side closed/ }],
    ['cut-short', { problem: 'network', tag: 'NetworkError' }],
  ];
  for (const [fault, failure] of expected) {
    standIn.faults.next(fault);
    t.match(await failureOf(client.listPage(invoice, { page: 1 }, TURN)), failure, `${fault} of a list`);
    standIn.faults.next(fault);
    t.match(await failureOf(client.detail(invoice, entry?.id ?? '', TURN)), failure, `${fault} of a record`);
    // Else the governor pauses after five failures in a row.
    await client.listPage(invoice, { page: 1 }, TURN);
  }
  t.strictSame(standIn.limits.inFlight, 0);
});

t.test('an API that is away is not asked on and on, and the refusal says for how long', async (t) => {
  const { standIn, client } = await world(t);
  standIn.faults.next('error-503', /./, 100);
  for (let n = 0; n < 5; n++) t.match(await failureOf(client.detail(invoice, '1', TURN)), { problem: 'unavailable' });
  const refused = await failureOf(clientOf(standIn, database.db, { patienceMs: 0 }).detail(invoice, '1', TURN));
  t.match(refused, { problem: 'quota', tag: 'RateLimitError', message: /failed 5 times in a row/ });
  t.ok((refused?.retryAfterSeconds ?? 0) >= 5);
  t.equal(standIn.requests.length, 5);
});

t.test('a token that Zoho rejects is replaced once, and the call succeeds', async (t) => {
  const { standIn, client } = await world(t);
  await client.listPage(invoice, { page: 1 }, TURN);
  standIn.accounts.rejectTokens();
  await Promise.all([1, 2, 3].map((page) => client.listPage(invoice, { page }, TURN)));
  t.equal(standIn.accounts.calls, 2);
});

t.test('a missing scope costs one new token, not one for each call, and is named', async (t) => {
  const { standIn, client } = await world(t);
  standIn.faults.next('unauthorized', /^\/invoices/, 100);
  for (let n = 0; n < 4; n++)
    t.match(await failureOf(client.listPage(invoice, { page: 1 }, TURN)), {
      ...{ problem: 'unauthorized', permanent: true, status: 401, code: 57 },
      message: /scope ZohoBooks\.invoices\.READ/,
    });
  t.equal(standIn.accounts.calls, 2);
  t.ok(await client.listPage(item, { page: 1 }, TURN), 'other modules go on');
});

t.test('too many calls in process are repeated after a moment', async (t) => {
  const { standIn, client } = await world(t);
  standIn.faults.next('in-flight-limit', /./, 2);
  t.ok(await client.listPage(invoice, { page: 1 }, TURN));
  t.equal(standIn.requests.length, 3);
});

t.test('a minute limit is not repeated but passed on with the time to wait', async (t) => {
  const { standIn, client } = await world(t);
  standIn.faults.next('minute-limit');
  const refused = await failureOf(client.listPage(invoice, { page: 1 }, TURN));
  t.match(refused, { problem: 'minute-limit', tag: 'RateLimitError', message: /code 44/ });
  t.ok((refused?.retryAfterSeconds ?? 0) > 50);
  t.equal(standIn.requests.length, 1);
});

t.test('a call ends with the reason of its abort, and gives its place back', async (t) => {
  const { standIn, client } = await world(t);
  standIn.faults.next('silence');
  const stop = new AbortController();
  const call = failureOf(client.listPage(invoice, { page: 1 }, { ...TURN, signal: stop.signal }));
  await waitFor('the call', () => standIn.requests.length === 1);
  stop.abort(new Error('the worker drains'));
  t.match(await call, { message: 'the worker drains' });
  const { rows } = await database.pool.query(
    'select from tds_zoho_calls where organization_id = $1 and ended_at is null',
    [standIn.organizationId],
  );
  t.equal(rows.length, 0);
  t.match(await failureOf(client.detail(invoice, '1', { ...TURN, signal: stop.signal })), {
    message: 'the worker drains',
  });
  t.equal(standIn.requests.length, 1);
});

t.test('items come a hundred to a call, and one that is gone is asked for by itself', async (t) => {
  const { standIn, books, client } = await world(t);
  books.fill({ item: 250 });
  const entries = books.live('item');
  if (entries[7]) books.delete(entries[7]);
  const details = await fetchDetails(
    client,
    item,
    entries.map(({ id }) => id),
    TURN,
  );
  t.equal(details.get(entries[7]?.id ?? ''), null);
  t.equal(details.get(entries[249]?.id ?? '')?.text, entries[249] && books.detail(entries[249]));
  t.equal(details.size, 250);
  t.equal(standIn.count(/itemdetails/), 3);
  t.equal(standIn.requests.length, 4);
});

for (const bulk of ['unknown', 'list'] as const) {
  t.test(`without a call for several (${bulk}) every record is fetched by itself, with its lines`, async (t) => {
    const { standIn, books, client } = await world(t);
    standIn.api.bulk = bulk;
    books.fill({ item: 3, salesorder: 3 });
    const [module, kind] =
      bulk === 'list' ? [pullModuleNamed('salesorder'), 'salesorder' as const] : [item, 'item' as const];
    const entries = books.live(kind);
    for (let n = 0; n < 2; n++) {
      const details = await fetchDetails(
        client,
        module,
        entries.map(({ id }) => id),
        TURN,
      );
      t.strictSame(
        entries.map(({ id }) => details.get(id)?.text),
        entries.map((entry) => books.detail(entry)),
      );
    }
    t.equal(standIn.requests.length, 1 + 3 + 3, 'and the call is not tried again at once');
  });
}

t.test('times of a filter keep their plus sign, and an ignored filter is noticed', async (t) => {
  const { standIn, books, client } = await world(t);
  books.fill({ invoice: 30 });
  const since = new Date((books.live('invoice')[20]?.changedAt ?? 0) * 1000);
  const heeded = await client.listPage(invoice, { page: 1, since }, TURN);
  t.match(standIn.requests.at(-1)?.query.get('last_modified_time'), /^2026-01-05T08:20:00\+0000$/);
  t.equal(heeded.rows.length, 10);
  t.equal(strategyAfterPage('filter', heeded.rows, since), 'filter');
  standIn.api.ignoresFilters = true;
  const ignored = await client.listPage(invoice, { page: 1, since }, TURN);
  t.equal(strategyAfterPage('filter', ignored.rows, since), 'full-scan');
});

t.test('a sorted scan stops at the mark, and an ignored order is noticed', async (t) => {
  const { standIn, books, client } = await world(t);
  books.fill({ contact: 30 });
  const contact = pullModuleNamed('contact');
  const [oldest] = books.live('contact');
  const since = new Date((books.live('contact')[28]?.changedAt ?? 0) * 1000);
  if (oldest) books.change(oldest);
  const sorted = await client.listPage(contact, { page: 1, newestFirst: true }, TURN);
  t.equal(sorted.rows[0]?.id, oldest?.id);
  t.equal(strategyAfterPage('sorted-scan', sorted.rows, since), 'sorted-scan');
  t.ok(reachedMark(sorted.rows, since));
  t.notOk(reachedMark(sorted.rows.slice(0, 2), since));
  standIn.api.ignoresSorting = true;
  const unsorted = await client.listPage(contact, { page: 1, newestFirst: true }, TURN);
  t.equal(strategyAfterPage('sorted-scan', unsorted.rows, since), 'full-scan');
});

t.test('inventory adjustments come from the Inventory API', async (t) => {
  const { books, client } = await world(t);
  books.fill({ inventoryadjustment: 2 });
  const adjustments = await client.listPage(pullModuleNamed('inventoryadjustment'), { page: 1 }, TURN);
  t.equal(adjustments.rows.length, 2);
});
