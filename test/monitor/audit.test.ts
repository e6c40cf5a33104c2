import { sql } from 'kysely';
import t from 'tap';
import { act } from '../../src/monitor/audit.ts';
import { testDatabase } from '../helper.ts';

const { db, pool } = await testDatabase(t);
await pool.query('create table marks (name text)');

const actor = { name: 'ali', requestId: 'request-1' };
const marks = async () => (await pool.query('select name from marks order by name')).rows.map(({ name }) => name);
const audit = async () =>
  (await pool.query('select operator, action, target, result from tds_audit_log order by id')).rows;

/** A deed that leaves a mark of its outcome. */
const deed = (outcome: 'done' | 'conflict') => ({
  action: 'mark.make',
  target: outcome,
  stands: ['done'] as const,
  async run(trx: typeof db) {
    await sql`insert into marks values (${outcome})`.execute(trx);
    await sql`select pg_notify('marks', ${outcome})`.execute(trx);
    return { outcome };
  },
});

t.test('a deed and its audit row are written together', async (t) => {
  t.same(await act(db, actor, deed('done')), { outcome: 'done' });
  t.same(await marks(), ['done']);
  t.same(await audit(), [{ operator: 'ali', action: 'mark.make', target: 'done', result: 'done' }]);
});

t.test('of a conflict nothing stays but the audit row, not even a notification', async (t) => {
  const listener = await pool.connect();
  t.teardown(() => listener.release());
  const heard: unknown[] = [];
  listener.on('notification', ({ payload }) => heard.push(payload));
  await listener.query('listen marks');
  await act(db, actor, deed('conflict'));
  await act(db, actor, deed('done'));
  await listener.query('select 1'); // notifications come before the next answer
  t.same(heard, ['done']);
  t.same(await marks(), ['done', 'done']);
  t.match((await audit()).at(-2), { target: 'conflict', result: 'conflict' });
});

t.test('a deed that throws leaves nothing at all', async (t) => {
  const rows = (await audit()).length;
  const fails = { ...deed('done'), run: (): Promise<{ outcome: 'done' }> => Promise.reject(new Error('no')) };
  await t.rejects(act(db, actor, fails), /no/);
  t.equal((await audit()).length, rows);
});

t.test('a deed whose audit row cannot be written has not happened', async (t) => {
  const before = await marks();
  await t.rejects(act(db, { ...actor, name: null as never }, deed('done')));
  t.same(await marks(), before);
});
