import { sql } from 'kysely';
import t from 'tap';
import { enqueue } from '../../src/queue/enqueue.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { refetchDue } from '../../src/sync/refetch.ts';
import { wantStale } from '../../src/sync/refetches.ts';
import { RefetchLoop } from '../../src/worker/refetch-loop.ts';
import { silentLog, testDatabase, waitFor } from '../helper.ts';
import type { Entry } from '../zoho/books.ts';
import { disagreeing, settled, startMirroring } from './mirroring.ts';
import { stage } from './stage.ts';
import { webhookOf } from './webhook.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);
t.beforeEach(() => pool.query('truncate tds_refetches'));

const SIGNAL = new AbortController().signal;
const wants = () =>
  db.selectFrom('tds_refetches').selectAll().where('done_at', 'is', null).orderBy('entity_id').execute();

/** An invoice of a module, with ways to be told of it and to fetch it. */
async function invoices(t: Parameters<typeof stage>[0], count: number) {
  const there = await stage(t, database, { invoice: count, customerpayment: 1 });
  const { books, standIn, client, run, calls } = there;
  const { organizationId } = standIn;
  await run('SyncAll', { modules: ['invoice', 'customerpayment'] });
  await settled(database);
  calls();
  const tell = async (entry: Entry, record: object, version: Date | null = new Date(entry.changedAt * 1000)) => {
    const of = { organizationId, module: entry.kind, entityId: entry.id, action: 'updated', version };
    await enqueue(pool, [webhookOf({ ...of, record })]);
    await settled(database);
  };
  const refetch = () => refetchDue(db, pool, client, SIGNAL);
  return { ...there, entries: books.live('invoice'), organizationId, tell, refetch };
}

t.test('what a webhook tells in part, or only names, is fetched once', async (t) => {
  const { books, entries, tell, refetch, calls } = await invoices(t, 3);
  const [part, idOnly] = entries as [Entry, Entry];
  books.change(part);
  await tell(part, { status: 'sent' });
  await tell(part, { status: 'paid' });
  const fresh = books.create('invoice');
  await tell(fresh, {}, null);
  books.change(idOnly);
  await tell(idOnly, {}, null);
  t.match(await wants(), [{ reason: 'partial', attempts: 0 }, { reason: 'partial' }, { reason: 'partial' }]);
  t.equal(await refetch(), 3);
  await settled(database);
  t.same(await disagreeing(database, books, 'invoice'), []);
  t.same(calls().details.toSorted(), [part, idOnly, fresh].map(({ id }) => `/invoices/${id}`).toSorted());
  t.same([await wants(), await refetch(), calls().details], [[], 0, []], 'and that is all');
});

t.test('the invoices that a payment names are fetched, unless they have announced themselves', async (t) => {
  const { books, entries, tell, refetch, calls } = await invoices(t, 3);
  const [paid, announced] = entries as [Entry, Entry];
  const [payment] = books.live('customerpayment') as [Entry];
  for (const entry of [payment, paid, announced]) books.change(entry);
  const named = { invoices: [paid, announced].map(({ id }) => ({ invoice_id: id })), bills: 'none' };
  await tell(payment, { ...JSON.parse(books.detail(payment)), payment_id: payment.id, ...named });
  t.match(await wants(), [{ module: 'invoice', reason: 'named' }, { reason: 'named' }]);
  t.equal(await refetch(), 0, 'their own webhooks get a moment');
  await enqueue(pool, [
    webhookOf({
      ...{ organizationId: '10234695', module: 'invoice', entityId: announced.id, action: 'updated' },
      ...{ record: books.detail(announced), version: new Date(announced.changedAt * 1000) },
    }),
  ]);
  await settled(database);
  await pool.query('update tds_refetches set next_at = now()');
  t.equal(await refetch(), 1);
  await settled(database);
  t.same(calls().details, [`/invoices/${paid.id}`]);
  t.same(await disagreeing(database, books, 'invoice'), []);
});

t.test('while the API is away, or processing is paused, they wait and lose no attempt', async (t) => {
  const { books, entries, tell, standIn, client } = await invoices(t, 4);
  const loop = new RefetchLoop(
    { log: silentLog },
    { db, pool, clients: new Map([[client.organizationId, client]]), pollMs: 10 },
  );
  t.teardown(() => loop.stop());
  await pause(db, 'ann', 'a test');
  for (const entry of entries) {
    books.change(entry);
    await sql`insert into tds_refetches (organization_id, module, entity_id, reason)
      values (${client.organizationId}, 'invoice', ${entry.id}, 'partial')`.execute(db);
    await sql`update books_records set stale_since = now() where entity_id = ${entry.id}`.execute(db);
  }
  const before = standIn.requests.length;
  t.equal(await refetchDue(db, pool, client, SIGNAL), 0);
  t.equal(standIn.requests.length, before, 'no call while paused');
  await resume(db);

  standIn.faults.next('error-503', /invoices/, 1000);
  await t.rejects(refetchDue(db, pool, client, SIGNAL), { message: /503/ });
  await pool.query('update tds_refetches set next_at = now()');
  await t.rejects(refetchDue(db, pool, client, SIGNAL), 'the circuit is open');
  const waiting = await wants();
  t.same(
    waiting.map(({ attempts }) => attempts),
    [0, 0, 0, 0],
  );

  standIn.faults.clear();
  await pool.query('update tds_zoho_quota set paused_until = null, failures = 0');
  await pool.query('update tds_refetches set next_at = now()');
  loop.start();
  await waitFor('all to be fetched', async () => (await wants()).length === 0);
  await settled(database);
  t.same(await disagreeing(database, books, 'invoice'), []);
  await tell(entries[0] as Entry, {}, null);
  await waitFor('the loop to go on', async () => (await wants()).length === 0);
});

t.test('one that Zoho will not give waits longer each time, and keeps nobody from the others', async (t) => {
  const { books, entries, tell, standIn, refetch } = await invoices(t, 3);
  const [hidden, other, gone] = entries as [Entry, Entry, Entry];
  standIn.api.allows = (path) => !path.endsWith(hidden.id);
  for (const entry of [hidden, other]) books.change(entry);
  books.delete(gone);
  for (const entry of [hidden, other, gone]) await tell(entry, {}, null);
  t.equal(await refetch(), 2);
  await settled(database);
  const [left, ...others] = await wants();
  t.match([left, others], [{ entity_id: hidden.id, attempts: 1, last_error: /scope/ }, []]);
  t.ok((left?.next_at.getTime() ?? 0) > Date.now() + 30_000);
  const { rows } = await pool.query('select entity_id from books_records where deleted_at is not null');
  t.same(rows, [{ entity_id: gone.id }], 'what does not exist is deleted');
});

t.test('a record older than what a webhook told of is asked for again later, not all the time', async (t) => {
  const { entries, tell, refetch, standIn } = await invoices(t, 1);
  const [entry] = entries as [Entry];
  await tell(entry, { status: 'sent' }, new Date());
  standIn.faults.next('error-503', /invoices/, 3);
  await t.rejects(refetch());
  t.match(await wants(), [{ attempts: 0, deferrals: 1, last_error: /503/ }], 'others go first for a while');
  await pool.query('update tds_refetches set next_at = now()');
  t.equal(await refetch(), 1);
  await settled(database);
  t.match(await wants(), [{ attempts: 1, last_error: /older version/ }]);
  t.equal(await wantStale(db, '10234695'), 0);
  t.equal(await refetch(), 0);
});

t.test(
  'a row that somebody marked by hand is healed; one whose event is a dead letter is left to its retry',
  async (t) => {
    const { books, entries, standIn, refetch } = await invoices(t, 2);
    const [marked, dead] = entries as [Entry, Entry];
    await pool.query(`update books_records set stale_since = now() where module = 'invoice'`);
    await pool.query(`update tds_sync_queue set status = 'dead_letter' where entity_id = $1`, [dead.id]);
    t.equal(await wantStale(db, standIn.organizationId), 1);
    t.equal(await wantStale(db, standIn.organizationId), 0);
    t.equal(await refetch(), 1);
    await settled(database);
    t.same(await disagreeing(database, books, 'invoice'), [dead.id]);
    t.match(await pool.query('select stale_since from books_records where entity_id = $1', [marked.id]), {
      rows: [{ stale_since: null }],
    });
  },
);

t.test('two who fetch at once fetch nothing twice', async (t) => {
  const { books, entries, tell, standIn, refetch, calls } = await invoices(t, 10);
  for (const entry of entries) {
    books.change(entry);
    await tell(entry, {}, null);
  }
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  standIn.delay = () => opened;
  const first = refetch();
  await waitFor('the first to call', () => standIn.requests.length > 0);
  t.equal(await refetch(), 0, 'the second leaves them to the first');
  open();
  t.equal(await first, 10);
  t.equal(new Set(calls().details).size, 10);
  await settled(database);
  t.same(await disagreeing(database, books, 'invoice'), []);
});

t.test('what is asked for again while it is being fetched is fetched again', async (t) => {
  const { books, entries, tell, standIn, refetch, calls } = await invoices(t, 1);
  const [entry] = entries as [Entry];
  books.change(entry);
  await tell(entry, {}, null);
  let once = true;
  standIn.delay = async () => {
    if (!once) return;
    once = false;
    await tell(entry, {}, null);
  };
  t.equal(await refetch(), 2);
  t.equal(calls().details.length, 2);
  t.same(await wants(), []);
});
