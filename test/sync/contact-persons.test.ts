import t from 'tap';
import { inboxEvent } from '../factory.ts';
import { mirroring } from '../handlers/mirroring.ts';
import { testDatabase } from '../helper.ts';
import type { Books, Entry } from '../zoho/books.ts';
import { settled, startMirroring } from './mirroring.ts';
import { NONE, type Pulled, type Reconciled, stage } from './stage.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

const modules = { modules: ['contact'] };

/** Has the contact's detail show these persons, until told otherwise. */
function setPersons(books: Books, { id }: Entry, persons: unknown[]): void {
  const detail = books.detail.bind(books);
  books.detail = (entry) => {
    const text = detail(entry);
    return entry.id === id ? JSON.stringify({ ...JSON.parse(text), contact_persons: persons }) : text;
  };
}

/** Live contact persons of the mirror, by id, with their e-mail addresses. */
async function persons(): Promise<Record<string, string>> {
  const { rows } = await pool.query(`select entity_id as id, record ->> 'email' as email from books_records
    where module = 'contactperson' and deleted_at is null order by 1`);
  return Object.fromEntries(rows.map(({ id, email }) => [id, email]));
}

const person = (id: string, email: string) => ({ contact_person_id: id, email });

t.test('contact persons have a verdict of their own, and a second run fetches no contact', async (t) => {
  const { run, calls } = await stage(t, database, { contact: 20 });
  const first = await run<Reconciled>('Reconcile', modules);
  t.same(first.modules.contactperson, { ...NONE, records: 20, agree: 20, missing: 20, repaired: 20 });
  t.equal(Object.keys(await persons()).length, 20);
  calls();
  const second = await run<Reconciled>('Reconcile', modules);
  t.same(second.modules.contactperson, { ...NONE, records: 20, agree: 20 });
  t.same([second.verdict, calls().details], ['agrees', []]);
  const { rows } = await pool.query(`select scanned_records from tds_pull_marks where module = 'contactperson'`);
  t.same(rows, [{ scanned_records: 20 }]);
});

t.test('persons that came, changed and left are told apart', async (t) => {
  const { books, run } = await stage(t, database, { contact: 3 });
  const [contact, , untouched] = books.live('contact') as [Entry, Entry, Entry];
  setPersons(books, contact, [person('81', 'a@example.com'), person('82', 'b@example.com')]);
  await run('Reconcile', modules);
  books.change(contact);
  setPersons(books, contact, [person('82', 'c@example.com'), person('83', 'd@example.com')]);
  const { verdict, modules: found } = await run<Reconciled>('Reconcile', modules);
  t.equal(verdict, 'repaired');
  t.same(found.contactperson, { ...NONE, records: 4, agree: 4, missing: 1, extra: 1, different: 1, repaired: 3 });
  t.match(await persons(), { 82: 'c@example.com', 83: 'd@example.com' });
  t.notOk('81' in (await persons()));
  t.ok(untouched);
});

t.test(
  'a person that the mirror lost, or holds as deleted, or keeps too long, is repaired by its contact',
  async (t) => {
    const { books, run, calls } = await stage(t, database, { contact: 4 });
    const [lost, dead, left] = books.live('contact') as [Entry, Entry, Entry];
    for (const [n, contact] of [lost, dead, left].entries())
      setPersons(books, contact, [person(`9${n}`, 'a@example.com')]);
    await run('Reconcile', modules);
    setPersons(books, left, []);
    books.change(left);
    await run('Reconcile', modules);
    await pool.query(`delete from books_records where module = 'contactperson' and entity_id = '90'`);
    await pool.query(`update books_records set deleted_at = now() where module = 'contactperson' and entity_id = '91'`);
    await pool.query(`update books_records set deleted_at = null where module = 'contactperson' and entity_id = '92'`);
    calls();
    const { modules: found } = await run<Reconciled>('Reconcile', modules);
    t.same(found.contactperson, { ...NONE, records: 3, agree: 3, missing: 2, extra: 1, repaired: 3 });
    t.equal(calls().details.length, 3, 'no contact was fetched but theirs');
    t.same(found.contact, { ...NONE, records: 4, agree: 4 });
  },
);

t.test('a person of whom nobody knows the contact is extra, and stays in the verdict', async (t) => {
  const { run } = await stage(t, database, { contact: 1 });
  await run('Reconcile', modules);
  await pool.query(`insert into books_records (organization_id, module, entity_id, record, received_at)
    select organization_id, module, '999', record, received_at from books_records where module = 'contactperson'`);
  const { verdict, modules: found } = await run<Reconciled>('Reconcile', modules);
  t.same([verdict, found.contactperson], ['differs', { ...NONE, records: 1, agree: 1, extra: 1 }]);
});

t.test('the persons of a contact whose deletion a webhook told leave with the next run', async (t) => {
  const { books, run, standIn } = await stage(t, database, { contact: 2 });
  const [contact] = books.live('contact') as [Entry];
  await run('Reconcile', modules);
  books.delete(contact);
  const { organizationId } = standIn;
  const record = { contact_id: contact.id };
  const deletion = { entityId: contact.id, record, action: 'deleted', module: 'contact', organizationId };
  await mirroring(db).handle([await inboxEvent(db, deletion)]);
  const { verdict, modules: found } = await run<Reconciled>('Reconcile', modules);
  t.same([verdict, found.contact], ['repaired', { ...NONE, records: 1, agree: 1 }]);
  t.same(found.contactperson, { ...NONE, records: 1, agree: 1, extra: 1, repaired: 1 });
  t.equal((await run<Reconciled>('Reconcile', modules)).verdict, 'agrees');
});

t.test(
  'an entry without an id is counted, logged and told by every verdict, and the others are mirrored',
  async (t) => {
    const { books, start, resume, run } = await stage(t, database, { contact: 5 });
    const [contact, other] = books.live('contact') as [Entry, Entry];
    setPersons(books, contact, [person('84', 'a@example.com'), { email: 'b@example.com' }, person('', 'c'), 7]);
    setPersons(books, other, [{ contact_person_id: null }]);
    const pull = start('SyncAllContacts');
    const lines: unknown[] = [];
    Object.assign(pull, { log: { info() {}, warn: (...line: unknown[]) => lines.push(line) } });
    t.match(((await resume(pull)) as Pulled).modules.contact, { records: 5, fetched: 5, withoutId: 4 });
    t.match(lines, [
      [{ module: 'contact', ids: [contact.id, other.id], without_id: 4 }, /have no id: they are not mirrored/],
    ]);
    await settled(database);
    t.match(await persons(), { 84: 'a@example.com' });
    const told = [
      `4 entries of contact_persons cannot be mirrored, they have no contact_person_id: in contact ${contact.id}, ${other.id}.`,
    ];
    const { verdict, modules: found } = await run<Reconciled>('Reconcile', modules);
    t.same([verdict, found.contact], ['differs', { ...NONE, records: 5, agree: 5 }]);
    t.same(found.contactperson, { ...NONE, records: 4, agree: 4, problems: told });
    setPersons(books, contact, []);
    setPersons(books, other, []);
    books.change(contact);
    books.change(other);
    t.equal((await run<Reconciled>('Reconcile', modules)).verdict, 'repaired');
    t.equal((await run<Reconciled>('Reconcile', modules)).verdict, 'agrees');
  },
);
