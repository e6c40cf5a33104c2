import t from 'tap';
import { inboxEvent } from '../factory.ts';
import { mirroring } from '../handlers/mirroring.ts';
import { testDatabase } from '../helper.ts';
import type { Entry } from '../zoho/books.ts';
import { disagreeing, settled, startMirroring } from './mirroring.ts';
import { NONE, type Reconciled, stage } from './stage.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

t.test('everything is pulled, and a second run finds nothing and fetches no record', async (t) => {
  const { books, run, calls } = await stage(t, database, { invoice: 30, item: 250 });
  const first = await run<Reconciled>('Reconcile', { modules: ['invoice', 'item'] });
  t.equal(first.verdict, 'repaired');
  t.same(first.modules, {
    invoice: { ...NONE, records: 30, agree: 30, missing: 30, repaired: 30 },
    item: { ...NONE, records: 250, agree: 250, missing: 250, repaired: 250 },
  });
  t.same(await disagreeing(database, books, 'invoice'), []);
  t.same(await disagreeing(database, books, 'item'), []);
  calls();
  const second = await run<Reconciled>('Reconcile', { modules: ['invoice', 'item'] });
  t.equal(second.verdict, 'agrees');
  t.same(second.modules.invoice, { ...NONE, records: 30, agree: 30 });
  t.same(calls(), { pages: ['/invoices 1', '/items 1', '/items 2'], details: [] });
  const { rows } = await pool.query('select count(*)::int as n from tds_inbox_events');
  t.equal(rows[0].n, 280, 'no event of the second run');
});

t.test('missing, extra, stale, different and incomplete records are told apart and repaired', async (t) => {
  const { books, run, standIn } = await stage(t, database, { item: 40 });
  await run('Reconcile', { modules: ['item'] });
  const [older, other, deleted, partial] = books.live('item') as [Entry, Entry, Entry, Entry];
  books.create('item');
  books.change(older);
  books.change(other, { silently: true });
  books.delete(deleted);
  const fresh = books.create('item');
  const [organizationId, version] = [standIn.organizationId, new Date(fresh.changedAt * 1000)];
  const short = (entry: Entry) => ({ entityId: entry.id, record: { item_id: entry.id, status: 'x' }, module: 'item' });
  await mirroring(db).batch({ ...short(fresh), organizationId, version });
  books.change(partial);
  await mirroring(db).batch({ ...short(partial), organizationId, version: new Date(partial.changedAt * 1000) });
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'repaired');
  t.same(modules.item, {
    ...{ ...NONE, records: 41, agree: 41, missing: 1, extra: 1, stale: 2, different: 1, incomplete: 1, repaired: 6 },
  });
  t.same(await disagreeing(database, books, 'item'), []);
  const stored = await db
    .selectFrom('tds_pull_verdicts')
    .selectAll()
    .orderBy('completed_at', 'desc')
    .executeTakeFirst();
  t.match(stored, { verdict, module: 'item', ...modules.item });
});

t.test('a record that Zoho still has is not deleted, whatever its list shows', async (t) => {
  const { books, run, standIn, calls } = await stage(t, database, { item: 30 });
  await run('Reconcile', { modules: ['item'] });
  const [hidden] = books.live('item') as [Entry];
  const listed = books.listed.bind(books);
  books.listed = (kind) => listed(kind).filter((entry) => entry !== hidden);
  standIn.api.tellsTotals = false;
  calls();
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'agrees');
  t.same(modules.item, { ...NONE, records: 30, agree: 30 });
  t.same(calls().details, [`/items/${hidden.id}`]);
});

t.test('a role that sees its own records only deletes nothing', async (t) => {
  const { run, standIn } = await stage(t, database, { invoice: 30 });
  await run('Reconcile', { modules: ['invoice'] });
  standIn.api.role = 'bob';
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['invoice'] });
  t.equal(verdict, 'differs');
  t.match(modules.invoice, { records: 20, agree: 20, extra: 10, repaired: 0, withheld_deletions: 0 });
  t.match(modules.invoice?.problems.join(), /10 deletions cannot be confirmed: .*57/);
  const { rows } = await pool.query('select count(*)::int as n from books_records where deleted_at is null');
  t.equal(rows[0].n, 30);
});

t.test('a record that lists go on showing after its deletion is deleted', async (t) => {
  const { books, run } = await stage(t, database, { item: 20 });
  await run('Reconcile', { modules: ['item'] });
  const [known] = books.live('item') as [Entry];
  books.change(known);
  books.delete(known, { lingering: true });
  books.delete(books.create('item'), { lingering: true });
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'repaired');
  t.same(modules.item, { ...NONE, records: 19, agree: 19, extra: 1, repaired: 1 });
  t.same(await disagreeing(database, books, 'item'), []);
});

t.test('a deletion that a webhook told wrongly is undone', async (t) => {
  const { books, run, standIn } = await stage(t, database, { item: 3 });
  await run('Reconcile', { modules: ['item'] });
  const [entry] = books.live('item') as [Entry];
  const { organizationId } = standIn;
  const deletion = {
    entityId: entry.id,
    record: { item_id: entry.id },
    action: 'deleted',
    module: 'item',
    organizationId,
  };
  await mirroring(db).handle([await inboxEvent(db, deletion)]);
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.same([verdict, modules.item], ['repaired', { ...NONE, records: 3, agree: 3, missing: 1, repaired: 1 }]);
  t.same((await run<Reconciled>('Reconcile', { modules: ['item'] })).verdict, 'agrees');
});

t.test('an older state that a late webhook brought at an equal version is found and repaired', async (t) => {
  const { books, run, standIn } = await stage(t, database, { item: 3 });
  const [entry] = books.live('item') as [Entry];
  const older = JSON.stringify({ ...JSON.parse(books.detail(entry)), item_id: entry.id, status: 'older' });
  await run('Reconcile', { modules: ['item'] });
  const version = new Date(entry.changedAt * 1000);
  const late = { entityId: entry.id, record: older, version, module: 'item', organizationId: standIn.organizationId };
  t.same(await mirroring(db).batch(late), ['applied']);
  const { modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.same(modules.item, { ...NONE, records: 3, agree: 3, different: 1, repaired: 1 });
  t.same(await disagreeing(database, books, 'item'), []);
});

t.test('rows that cannot be used reach the verdict', async (t) => {
  const { books, run } = await stage(t, database, { item: 5 });
  const row = books.row.bind(books);
  books.row = (entry) => (entry.nth === 2 ? row(entry).replace(`"${entry.id}"`, '""') : row(entry));
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'differs');
  t.same(modules.item?.problems, ['1 rows of the list of item cannot be used: a record has no item_id.']);
  t.match(modules.item, { records: 4, agree: 4 });
});

t.test('a total that the list does not show reaches the verdict, after two readings', async (t) => {
  const { books, run, calls } = await stage(t, database, { item: 5 });
  const listed = books.listed.bind(books);
  books.listed = (kind) => [...listed(kind), ...listed(kind).slice(0, 1)];
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.equal(verdict, 'differs');
  t.same(modules.item?.problems, ['Zoho counts 6 records of item, but its list has shown 5.']);
  t.same(calls().pages, ['/items 1', '/items 1']);
});

t.test('a module that Zoho refuses is told, and the others are reconciled', async (t) => {
  const { run, standIn } = await stage(t, database, { item: 5, tax: 2 });
  standIn.api.allows = (path) => path !== '/settings/taxes';
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['tax', 'item'] });
  t.equal(verdict, 'differs');
  t.match(modules.tax?.problems.join(), /scope ZohoBooks.settings.READ/);
  t.match(modules.item, { records: 5, agree: 5 });
});

t.test('a run of which Zoho refuses every module fails without a verdict, and a retry compares', async (t) => {
  const { start, resume, standIn } = await stage(t, database, { item: 5 });
  standIn.faults.next('error-in-200', /^\/items\?/, 1);
  const run = start('Reconcile', { modules: ['item'] });
  await t.rejects(resume(run), { tag: 'ValidationError', message: /^Reconcile: \/items: / });
  t.same((await pool.query('select from tds_pull_verdicts')).rowCount, 0);
  t.match(await resume(run), { modules: { item: { records: 5 } } });
});

t.test('an event that ends as a dead letter makes the verdict differ, and is not sent again', async (t) => {
  const { run } = await stage(t, database, { item: 3 });
  await pool.query(
    `create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$`,
  );
  await pool.query(`create trigger refuse before insert on books_records for each row when (new.module = 'item')
    execute function refuse()`);
  t.teardown(() => pool.query('drop trigger if exists refuse on books_records'));
  const { verdict, modules } = await run<Reconciled>('Reconcile', { modules: ['item'] });
  t.same([verdict, modules.item?.missing, modules.item?.repaired, modules.item?.agree], ['differs', 3, 0, 0]);
  const why = ['3 events of item that carry what differs are dead letters: retry them.'];
  t.same(modules.item?.problems, why);
  t.same((await run<Reconciled>('Reconcile', { modules: ['item'] })).modules.item?.problems, why);
  const { rows } = await pool.query('select count(*)::int as n from tds_sync_queue');
  t.equal(rows[0].n, 3);
});

t.test('custom fields that a run brings have a column at its end, and a failure there fails no run', async (t) => {
  const { books, run } = await stage(t, database, { item: 2 });
  const detail = books.detail.bind(books);
  const fields = JSON.stringify([{ api_name: 'cf_shelf', label: 'Shelf', value: 'A7' }]);
  books.detail = (entry) => `${detail(entry).slice(0, -1)},"custom_fields":${fields}}`;
  await run('SyncAll', { modules: ['item'] });
  await settled(database);
  await pool.query('alter function books_refresh_views(text) rename to books_hidden');
  t.equal((await run<Reconciled>('Reconcile', { modules: ['item'] })).verdict, 'agrees');
  await pool.query('alter function books_hidden(text) rename to books_refresh_views');
  t.equal((await run<Reconciled>('Reconcile', { modules: ['item'] })).verdict, 'agrees');
  const { rows } = await pool.query('select distinct cf_shelf from books_items');
  t.same(rows, [{ cf_shelf: 'A7' }]);
});

t.test('a webhook that tells a part of a newer version while the run is under way reaches the verdict', async (t) => {
  const { books, start, resume, run: whole, standIn } = await stage(t, database, { item: 3 });
  const [entry] = books.live('item') as [Entry];
  const run = start('Reconcile', { modules: ['item'] });
  const part = { entityId: entry.id, module: 'item', organizationId: standIn.organizationId };
  run.before = (activity) => {
    if (activity === 'item verdict') throw new Error('stop');
  };
  await t.rejects(resume(run), { message: 'stop' });
  books.change(entry);
  const version = new Date(entry.changedAt * 1000);
  await mirroring(db).batch({ ...part, version, record: { item_id: entry.id, status: 'x' } });
  run.before = () => {};
  const { verdict, modules } = (await resume(run)) as Reconciled;
  t.same([verdict, modules.item?.agree], ['differs', 2]);
  t.same(modules.item?.problems, [
    'Webhooks told parts of newer versions of 1 records of item: the next run fetches them.',
  ]);
  t.equal((await whole<Reconciled>('Reconcile', { modules: ['item'] })).verdict, 'repaired');
});
