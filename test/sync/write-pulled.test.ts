import t from 'tap';
import { databaseTime, type PulledBatch, writePulled } from '../../src/sync/write-pulled.ts';
import { recordsIn, type ZohoRecord } from '../../src/zoho/client/records.ts';
import { pullModuleNamed } from '../../src/zoho/modules/pull-modules.ts';
import { inboxEvent } from '../factory.ts';
import { mirroring } from '../handlers/mirroring.ts';
import { testDatabase } from '../helper.ts';
import { Books, type Entry, type Kind } from '../zoho/books.ts';
import { disagreeing, settled, startMirroring } from './mirroring.ts';

const ORGANIZATION = '60000000001';
const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);
t.beforeEach(() =>
  pool.query('truncate books_records, tds_pulled_changes, tds_pull_rows, tds_sync_queue, tds_inbox_events'),
);

function recordsOf(books: Books, entries: Entry[], kind: Kind = 'invoice'): ZohoRecord[] {
  const module = pullModuleNamed(kind);
  const list = `{"list":[${entries.map((entry) => books.detail(entry)).join(',')}]}`;
  return recordsIn(list, ['list'], module.idFields)?.records ?? [];
}

async function write(records: readonly ZohoRecord[], more: Partial<PulledBatch> = {}) {
  const batch = {
    ...{ organizationId: ORGANIZATION, module: pullModuleNamed('invoice'), records, deletedIds: [] },
    ...{ runId: null, reason: 'test', fetchedAt: await databaseTime(db), ...more },
  };
  const written = await db.transaction().execute((trx) => writePulled(trx, batch));
  await settled(database);
  return written;
}

const stored = (id: string) =>
  db.selectFrom('books_records').selectAll().where('entity_id', '=', id).executeTakeFirstOrThrow();

t.test('what the mirror lacks is written, digit for digit, and nothing the second time', async (t) => {
  const books = new Books().fill({ invoice: 200 });
  const records = recordsOf(books, books.live('invoice'));
  const written = await write(records);
  t.equal(written.length, 200);
  t.ok(written.every(({ difference }) => difference === 'missing'));
  t.same(await disagreeing(database, books, 'invoice'), []);
  t.same(await write(records), []);
  const { rows } = await pool.query(
    `select distinct e.event_type, e.dedupe_key, p.source, q.priority from tds_inbox_events e
     join tds_inbox_payloads p using (event_id) join tds_sync_queue q on q.id = event_id`,
  );
  t.same(rows, [{ event_type: 'invoice.created', dedupe_key: null, source: 'pull', priority: 5 }]);
});

t.test('each difference is told apart and noted, with whether it had been announced', async (t) => {
  const books = new Books().fill({ invoice: 5 });
  const [same, older, other, partial] = books.live('invoice') as [Entry, Entry, Entry, Entry, Entry];
  await write(recordsOf(books, [same, older, other]));
  const record = JSON.stringify({ invoice_id: partial.id, status: 'sent' });
  const version = new Date(partial.changedAt * 1000);
  await mirroring(db).handle([await inboxEvent(db, { entityId: partial.id, record, version })]);
  books.change(older);
  books.change(other, { silently: true });
  await pool.query('truncate tds_pulled_changes');
  await write(recordsOf(books, books.live('invoice')));
  const changes = await db
    .selectFrom('tds_pulled_changes')
    .select(['entity_id', 'difference', 'announced'])
    .orderBy('entity_id')
    .execute();
  t.same(
    changes.map(({ difference, announced }) => `${difference} ${announced}`),
    ['stale false', 'different true', 'incomplete true', 'missing false'],
  );
  t.same(await disagreeing(database, books, 'invoice'), []);
});

t.test('a deletion becomes a tombstone once, and a record that Zoho still has lives again', async (t) => {
  const books = new Books().fill({ invoice: 1 });
  const [entry] = books.live('invoice') as [Entry];
  await write(recordsOf(books, [entry]));
  t.equal((await write([], { deletedIds: [entry.id] })).length, 1);
  t.ok((await stored(entry.id)).deleted_at);
  t.same(await write([], { deletedIds: [entry.id] }), []);
  t.equal((await write(recordsOf(books, [entry]))).length, 1);
  const row = await stored(entry.id);
  t.equal(row.deleted_at, null);
  t.same(row.version, new Date(entry.changedAt * 1000));
});

t.test('what was fetched before a deletion arrived does not undo it', async (t) => {
  const books = new Books().fill({ invoice: 1 });
  const [entry] = books.live('invoice') as [Entry];
  const records = recordsOf(books, [entry]);
  await write(records);
  const fetchedAt = await databaseTime(db);
  await write([], { deletedIds: [entry.id] });
  t.same(await write(records, { fetchedAt }), []);
  t.ok((await stored(entry.id)).deleted_at);
});

t.test('a newer webhook that arrives during the fetch wins', async (t) => {
  const books = new Books().fill({ invoice: 1 });
  const [entry] = books.live('invoice') as [Entry];
  const fetched = recordsOf(books, [entry]);
  const fetchedAt = await databaseTime(db);
  books.change(entry);
  const version = new Date(entry.changedAt * 1000);
  await mirroring(db).handle([await inboxEvent(db, { entityId: entry.id, record: books.detail(entry), version })]);
  t.same(await write(fetched, { fetchedAt }), []);
  t.same(await disagreeing(database, books, 'invoice'), []);
});

t.test('a record without any time is as new as its fetch, and written once', async (t) => {
  const records = recordsIn('{"list":[{"tax_id":"1","tax_name":"VAT"}]}', ['list'], ['tax_id'])?.records ?? [];
  const module = pullModuleNamed('tax');
  t.equal((await write(records, { module })).length, 1);
  t.match(await stored('1'), { complete: true, stale_since: null });
  t.same(await write(records, { module }), []);
});

t.test('contact persons are mirrored with their contact, and leave with it', async (t) => {
  const contact = (persons: object[], version: string) => ({
    ...{ contact_id: '7', contact_name: 'Acme', last_modified_time: version, contact_persons: persons },
  });
  const module = pullModuleNamed('contact');
  const pulled = async (persons: object[], version: string) => {
    const list = JSON.stringify({ list: [contact(persons, version)] });
    const written = await write(recordsIn(list, ['list'], module.idFields)?.records ?? [], { module });
    return written.map(({ entityId, difference }) => `${entityId} ${difference}`).sort();
  };
  const [ann, bob] = [
    { contact_person_id: '71', email: 'a@example.com' },
    { contact_person_id: '72', email: 'c@example.com' },
  ];
  t.same(await pulled([ann, bob], '2026-06-09T09:47:43-0400'), ['7 missing', '71 missing', '72 missing']);
  t.same(await pulled([ann, bob], '2026-06-09T09:47:43-0400'), []);
  t.same(await pulled([{ ...ann, email: 'b@example.com' }], '2026-06-09T09:47:44-0400'), [
    '7 stale',
    '71 different',
    '72 extra',
  ]);
  t.match(await stored('71'), { module: 'contactperson', record: { email: 'b@example.com' }, complete: true });
  t.ok((await stored('72')).deleted_at);
  const short = '{"list":[{"contact_id":"7","contact_name":"Acme","last_modified_time":"2026-06-09T09:47:45-0400"}]}';
  await write(recordsIn(short, ['list'], module.idFields)?.records ?? [], { module });
  t.notOk((await stored('71')).deleted_at, 'a record that says nothing of persons takes none away');
  await write([], { module, deletedIds: ['7'] });
  t.ok((await stored('71')).deleted_at);
});
