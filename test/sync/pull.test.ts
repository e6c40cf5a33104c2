import t from 'tap';
import { syncDefinitions } from '../../src/sync/definitions.ts';
import { type Failure, failureOf } from '../../src/workflows/failure.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { validateRequest } from '../../src/workflows/validate.ts';
import { pullModules } from '../../src/zoho/modules/pull-modules.ts';
import { testDatabase } from '../helper.ts';
import type { Entry } from '../zoho/books.ts';
import { disagreeing, settled, startMirroring } from './mirroring.ts';
import { type Pulled, passWindow, type Reconciled, stage } from './stage.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

/** How far the marks have come, by module. */
async function marks(): Promise<Record<string, Date>> {
  const rows = await db.selectFrom('tds_pull_marks').select(['module', 'known_until']).execute();
  return Object.fromEntries(rows.map(({ module, known_until }) => [module, known_until]));
}

const mirrored = async () => {
  await settled(database);
  const { rows } = await pool.query('select count(*)::int as n from books_records where deleted_at is null');
  return rows[0].n as number;
};

t.test('a module with a filter is asked for its changes only, within an overlapping window', async (t) => {
  const { books, run, calls } = await stage(t, database, { salesorder: 260 });
  await run('SyncAll', { modules: ['salesorder'] });
  t.equal(await mirrored(), 260);
  t.same(calls().pages, ['/salesorders 1', '/salesorders 2']);
  const [changed] = books.live('salesorder') as [Entry];
  books.change(changed);
  const { modules } = await run<Pulled>('SyncChangedSalesOrders');
  t.match(modules.salesorder, { strategy: 'filter', records: 1, fetched: 1, written: 1, problems: [] });
  t.same(calls(), { pages: ['/salesorders 1'], details: [`/salesorders/${changed.id}`] });
  await settled(database);
  t.same(await disagreeing(database, books, 'salesorder'), []);
  await run('SyncChangedSalesOrders');
  t.same(calls(), { pages: ['/salesorders 1'], details: [] }, 'the window overlaps, the record is not fetched again');
});

t.test('a filter that was ignored makes the whole list be read', async (t) => {
  const { books, run, calls, standIn } = await stage(t, database, { invoice: 3, salesorder: 210 });
  await run('SyncAll', { modules: ['salesorder'] });
  standIn.api.ignoresFilters = true;
  books.change((books.live('salesorder') as [Entry])[0]);
  calls();
  const { modules } = await run<Pulled>('SyncChanged', { modules: ['salesorder'] });
  t.match(modules.salesorder, { strategy: 'full-scan', records: 210, fetched: 1, written: 1 });
  t.same(calls().pages, ['/salesorders 1', '/salesorders 1', '/salesorders 2']);
});

t.test('a sorted scan stops below the mark, and reads on when nothing is in order', async (t) => {
  const { books, run, calls, standIn } = await stage(t, database, { contact: 402 });
  await run('SyncAll', { modules: ['contact'] });
  await settled(database);
  books.change((books.live('contact') as [Entry])[0]);
  calls();
  t.match((await run<Pulled>('SyncChangedContacts')).modules.contact, { strategy: 'sorted-scan', fetched: 1 });
  t.equal(calls().pages.length, 1);
  await settled(database);
  standIn.api.ignoresSorting = true;
  books.change(books.live('contact')[300] as Entry);
  t.match((await run<Pulled>('SyncChangedContacts')).modules.contact, { strategy: 'full-scan', fetched: 1 });
  t.equal(calls().pages.length, 4);
});

t.test('once a week contacts are read whole, because balances do not move their times', async (t) => {
  const { books, run } = await stage(t, database, { contact: 4 });
  await run('SyncAll', { modules: ['contact'] });
  await settled(database);
  books.change((books.live('contact') as [Entry])[0], { silently: true });
  const silent = (await run<Pulled>('SyncChangedContacts')).modules.contact;
  t.match(
    silent,
    { strategy: 'sorted-scan', records: 4, fetched: 1 },
    'what a page happens to show is compared all the same',
  );
  await pool.query(`update tds_pull_marks set scanned_at = now() - interval '7 days'`);
  t.match((await run<Pulled>('SyncChangedContacts')).modules.contact, { strategy: 'full-scan' });
  t.match((await run<Pulled>('SyncChangedContacts')).modules.contact, { strategy: 'sorted-scan' });
});

t.test('modules that no webhook announces are pulled too', async (t) => {
  const { run } = await stage(t, database, { chartofaccount: 3, tax: 2, user: 1 });
  await run('SyncAll', { modules: ['chartofaccount', 'tax', 'user'] });
  t.equal(await mirrored(), 6);
  t.match(await run('Reconcile', { modules: ['chartofaccount', 'tax', 'user'] }), { verdict: 'agrees' });
});

t.test('rows that move between pages while the list is read are seen all the same', async (t) => {
  const { books, run, standIn, calls } = await stage(t, database, { item: 450 });
  let moves = 0;
  standIn.api.onPage = (_kind, page) => {
    if (page !== 2 || moves++ > 0) return;
    for (const entry of books.live('item').slice(-3)) books.delete(entry);
    books.create('item');
  };
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'repaired');
  t.match(modules.item, { records: 448, agree: 448, missing: 451, repaired: 451, problems: [] });
  t.equal(moves, 2, 'the fault happened, and the second page was asked for again');
  t.same(await disagreeing(database, books, 'item'), []);
  t.same(calls().pages, ['/items 1', '/items 2', '/items 1', '/items 2', '/items 3']);
});

t.test('marks move only after a whole run', async (t) => {
  const { run, start, resume } = await stage(t, database, { item: 3, salesorder: 3 });
  const broken = start('SyncAll', { modules: ['item', 'salesorder'] });
  broken.before = (activity) => {
    if (activity === 'salesorder page 1') throw new Error('killed');
  };
  await t.rejects(resume(broken), { message: 'killed' });
  t.same(await marks(), {});
  broken.before = () => {};
  await resume(broken);
  const before = await marks();
  t.same(Object.keys(before).sort(), ['item', 'salesorder']);
  await run('SyncChanged', { modules: ['salesorder'], since: new Date(Date.now() + 60_000).toISOString() });
  t.same((await marks()).salesorder, before.salesorder, 'a window that begins behind the mark leaves a gap');
});

t.test('a run that is killed at a page goes on at that page', async (t) => {
  const { start, resume, calls } = await stage(t, database, { item: 1000 });
  const killed = start('SyncAllItems');
  killed.before = (activity) => {
    if (activity === 'item page 4') throw new Error('killed');
  };
  await t.rejects(resume(killed), { message: 'killed' });
  t.same(calls().pages, ['/items 1', '/items 2', '/items 3']);
  killed.before = () => {};
  await resume(killed);
  const { pages, details } = calls();
  t.same(pages, ['/items 4', '/items 5']);
  t.equal(details.length, 4, 'the records of two pages, a hundred at once');
  t.equal(await mirrored(), 1000);
  t.match(killed.progress, { module: 'item', records: 1000, records_total: 1000, pages: 5, calls: 15 });
});

t.test('what was fetched when the quota ends is kept, and no call is made twice', async (t) => {
  const limits = { callsPerMinute: 12, windowMs: 60_000, callsPerDay: 1_000_000 };
  const { start, resume, calls, standIn } = await stage(t, database, { invoice: 60 }, limits);
  const run = start('SyncAllInvoices');
  run.onPostponed = (reason) => (/calls were made/.test(reason) ? passWindow(database, standIn) : Promise.resolve());
  await resume(run);
  t.equal(run.postponed.filter((reason) => /calls were made in the last/.test(reason)).length, 6, '10 calls a window');
  const { pages, details } = calls();
  t.same([pages.length, details.length, new Set(details).size], [1, 60, 60]);
  t.same(standIn.limits.violations, []);
  t.equal(await mirrored(), 60);
});

t.test('an API that fails now and then costs a few calls, not the run', async (t) => {
  const { start, resume, standIn, calls } = await stage(t, database, { invoice: 60 });
  for (const path of ['page=1', '/invoices/\\d+', '/invoices/\\d+']) standIn.faults.next('error-500', path, 1);
  await resume(start('SyncAllInvoices'));
  t.equal(standIn.faults.happened.length, 3);
  t.ok(calls().details.length < 60 + 25);
  t.equal(await mirrored(), 60);
});

t.test('one record that Zoho will not give does not keep us from the others', async (t) => {
  const { run, standIn } = await stage(t, database, { invoice: 12 });
  standIn.api.allows = (path) => !path.endsWith('21');
  const { modules } = await run<Pulled>('SyncAllInvoices');
  t.match(modules.invoice, { records: 12, fetched: 11, notGiven: 1 });
  t.match(String(modules.invoice?.problems), /^1 records of invoice cannot be fetched: .*scope/);
  t.equal(await mirrored(), 11);
});

t.test('a run of which Zoho refuses every module fails with its answer, and a retry asks again', async (t) => {
  const { start, resume, standIn } = await stage(t, database, { invoice: 2, item: 3 });
  standIn.faults.next('error-in-200', /^\/(invoices|items)\?/, 2);
  const run = start('SyncAll', { modules: ['invoice', 'item'] });
  const failed = await resume(run).then(() => t.fail('it completed'), failureOf);
  const answer = { status: 200, code: '2', body: '{"code":2,"message":"Invalid value passed"}' };
  t.match(failed, { tag: 'ValidationError', message: /\/invoices: .*\/items: / });
  t.match((failed as Failure).cause[1], answer);
  t.same(await marks(), {});
  t.match(await resume(run), { modules: { invoice: { fetched: 2 }, item: { fetched: 3 } } });
  t.equal(await mirrored(), 5);
  t.same(Object.keys(await marks()).sort(), ['invoice', 'item']);
});

t.test('a list that takes many pages is not read whole all the time, unless its module is named', async (t) => {
  const { run, calls } = await stage(t, database, { item: 201 }, { callsPerMinute: 1_000_000, callsPerDay: 3000 });
  await run('SyncAllItems');
  calls();
  const skipped = await run<Pulled>('SyncChanged');
  t.ok(skipped.modules.item?.skipped);
  t.notOk(calls().pages.some((page) => page.startsWith('/items')));
  t.match((await run<Pulled>('SyncChangedItems')).modules.item, { records: 201, fetched: 0 });
  await pool.query(`update tds_pull_marks set scanned_at = now() - interval '1 day'`);
  t.match((await run<Pulled>('SyncChanged')).modules.item, { records: 201, fetched: 0 });
});

t.test('a module that there is not is answered with all that there are', async (t) => {
  const { client } = await stage(t, database, {});
  const workflows = new Workflows(syncDefinitions(db, new Map([['10', client]])), ['10']);
  const answer = validateRequest(workflows, '10', 'SyncAll', { modules: ['incoice'] });
  const all = pullModules.map(({ name }) => name).join(', ');
  const detail = `Correct payload.modules.0: it must be one of ${all}.`;
  t.same(answer, { refusal: { code: 'invalid_payload', detail } });
});

t.test('a plan says how many records, calls and days a run would take', async (t) => {
  const { find, calls, standIn } = await stage(
    t,
    database,
    { item: 450, invoice: 60 },
    { callsPerMinute: 1e6, callsPerDay: 100 },
  );
  const plan = await find('SyncAll')?.plan(
    standIn.organizationId,
    { modules: ['item', 'invoice'] },
    AbortSignal.timeout(9e4),
  );
  t.same(plan, {
    ...{ records: 510, calls: 3 + 5 + 1 + 60 },
    // 98 calls are left, 10 of which are kept for re-fetches.
    days: 0.8,
    modules: { item: { records: 450, calls: 8 }, invoice: { records: 60, calls: 61 } },
  });
  t.equal(calls().pages.length, 2);
  const { rows } = await pool.query('select count(*)::int as n from tds_inbox_events');
  t.equal(rows[0].n, 0);
});
