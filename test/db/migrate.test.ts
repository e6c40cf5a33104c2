import { sql } from 'kysely';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { migrateToLatest, prepareDatabase } from '../../src/db/migrate.ts';
import { emptyDatabase, type Teardown, waitFor } from '../helper.ts';

async function connectEmpty(test: Teardown) {
  const url = await emptyDatabase(test);
  const open = openDatabase({ url, max: 5, applicationName: 'tds-test' });
  test.teardown(open.close);
  return { url, ...open };
}

t.test('an empty database gets every migration, and a second run nothing', async (t) => {
  const { db } = await connectEmpty(t);
  const applied = await migrateToLatest(db);
  t.ok(applied.includes('0001_inbox_and_queue'));
  t.strictSame(applied, applied.toSorted(), 'in the order of their numbers');
  t.strictSame(await migrateToLatest(db), []);
});

t.test('every trigger fires for a session that passes for a replica, too', async (t) => {
  const { db, pool } = await connectEmpty(t);
  await migrateToLatest(db);
  const { rows } = await pool.query<{ trigger: string; always: boolean }>(
    `select tgname as trigger, tgenabled = 'A' as always from pg_trigger where not tgisinternal`,
  );
  t.ok(rows.length > 50, `${rows.length} triggers`);
  t.strictSame(
    rows.filter(({ always }) => !always),
    [],
  );
});

t.test('tables of an unreleased version are refused with what to do', async (t) => {
  const { db, pool } = await connectEmpty(t);
  await migrateToLatest(db);
  await pool.query(`update tds_migrations set name = '0001_queue' where name = '0001_inbox_and_queue'`);
  await t.rejects(migrateToLatest(db), { message: /unreleased version.*use an empty database/ });
});

t.test('two migrators at once apply everything exactly once', async (t) => {
  const { db } = await connectEmpty(t);
  const [first, second] = await Promise.all([migrateToLatest(db), migrateToLatest(db)]);
  t.equal(Math.min(first.length, second.length), 0);
  t.ok(Math.max(first.length, second.length) > 0);
});

t.test('a lock held by somebody else is waited for, and not for ever in one go', async (t) => {
  const { db, pool } = await connectEmpty(t);
  await pool.query('create table tds_migration_lock (id varchar(255) primary key, is_locked int not null default 0)');
  const blocker = await pool.connect();
  await blocker.query('begin; lock table tds_migration_lock in access exclusive mode');
  const migrated = migrateToLatest(db);
  await waitFor('the migrator to give up its place in the lock queue', async () => {
    const { rows } = await pool.query(
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
    );
    return rows.length > 0;
  });
  await blocker.query('commit');
  blocker.release();
  t.ok((await migrated).includes('0001_inbox_and_queue'));
});

t.test('a pooled connection keeps no lock time-out of the migrator', async (t) => {
  const url = await emptyDatabase(t);
  const { db, close } = openDatabase({ url, max: 1, applicationName: 'tds-test' });
  t.teardown(close);
  await migrateToLatest(db);
  const { rows } = await sql<{ lock_timeout: string }>`show lock_timeout`.execute(db);
  t.equal(rows[0]?.lock_timeout, '0');
});

t.test('an older release accepts a database that a newer one has migrated', async (t) => {
  const { db, pool } = await connectEmpty(t);
  await migrateToLatest(db);
  await pool.query("insert into tds_migrations (name, timestamp) values ('9999_from_the_future', now()::text)");
  t.strictSame(await migrateToLatest(db), []);
});

t.test('a server that can lose commits is refused in production and reported otherwise', async (t) => {
  const { url, pool } = await connectEmpty(t);
  const { rows } = await pool.query<{ name: string }>('select current_database() as name');
  await pool.query(`alter database "${rows[0]?.name}" set synchronous_commit = off`);
  const sentences: string[] = [];
  await prepareDatabase(url, { strict: false, report: (sentence) => sentences.push(sentence) });
  t.match(sentences[0], /warning: synchronous_commit is off/);
  await t.rejects(prepareDatabase(url, { strict: true, report: () => undefined }), /synchronous_commit is off/);
});

t.test(
  'a server that does not answer is named, again and again, and at the end with the setting to correct',
  async (t) => {
    const sentences: string[] = [];
    const report = (sentence: string) => sentences.push(sentence);
    const url = 'postgresql://tds:canary@127.0.0.1:1/books';
    await t.rejects(
      prepareDatabase(url, { strict: false, report, patienceMs: 1500 }),
      /^no PostgreSQL answered at 127\.0\.0\.1:1, database books within 2 s \(connect ECONNREFUSED.*: start it, or correct DATABASE_URL$/,
    );
    t.match(sentences, [
      /^waiting for PostgreSQL at 127\.0\.0\.1:1, database books \(DATABASE_URL\): connect ECONNREFUSED/,
    ]);
    t.notMatch(sentences.join(), 'canary');
  },
);

t.test('a server that lets us not in is named at once', async (t) => {
  const { url } = await connectEmpty(t);
  const wrong = url.replace(/\/tds_test_\w+/, '/no_such_database');
  const options = { strict: false, report: () => undefined };
  await t.rejects(prepareDatabase(wrong, options), /no_such_database: .*does not exist: correct DATABASE_URL/);
});
