import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { OutageLog } from '../../src/outage-log.ts';
import { FaultyProxy } from '../faults/proxy.ts';
import { testDatabase, waitFor } from '../helper.ts';

t.test('times are UTC, and 64-bit numbers and money keep their digits', async (t) => {
  const { db } = await testDatabase(t);
  const { rows } = await sql<Record<string, string>>`
    select current_setting('timezone') as zone, 9007199254740993 as big, 12345678901234567.89 as money`.execute(db);
  t.strictSame(rows[0], { zone: 'UTC', big: '9007199254740993', money: '12345678901234567.89' });
});

t.test('connections that the server ends, idle or busy, are replaced and end nothing', async (t) => {
  const { db, pool } = await testDatabase(t);
  const busy = sql`select pg_sleep(60)`.execute(db).catch((error: Error) => error);
  await waitFor('the sleeper to be under way', async () => {
    const { rowCount } = await pool.query("select from pg_stat_activity where query like 'select pg_sleep%'");
    return rowCount === 1;
  });
  await pool.query(
    'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
  );
  t.match(await busy, { code: '57P01' });
  await waitFor('a new connection', async () => (await sql`select 1`.execute(db)).rows.length === 1);
});

t.test('a statement that is given up takes its connection along', async (t) => {
  const { url } = await testDatabase(t);
  const { db, pool, close } = openDatabase({ url, max: 1, applicationName: 'tds-test', queryTimeoutMs: 200 });
  t.teardown(close);
  await t.rejects(sql`select pg_sleep(60)`.execute(db), /Query read timeout/);
  t.strictSame((await sql`select 1 as n`.execute(db)).rows, [{ n: 1 }], 'the next one does not wait behind it');
  t.equal(pool.totalCount, 1);
});

t.test('an idle transaction is ended when that is asked for', async (t) => {
  const { url } = await testDatabase(t);
  const options = { url, max: 1, applicationName: 'tds-test', idleInTransactionTimeoutMs: 50 };
  const { pool, close } = openDatabase(options);
  t.teardown(close);
  const client = await pool.connect();
  let failure: Error | undefined;
  client.on('error', (error) => {
    failure ??= error; // what the server said comes first, the broken connection after it
  });
  await client.query('begin');
  await waitFor('the server to end it', () => failure !== undefined);
  client.release(true);
  t.match(failure, { code: '25P03' });
});

t.test('closing twice is harmless, also when nothing was ever asked', async (t) => {
  const { url } = await testDatabase(t);
  const { close } = openDatabase({ url, max: 1, applicationName: 'tds-test' });
  await t.resolves(close());
  await t.resolves(close());
});

t.test('an outage is one line when it begins and one when it is over, whoever asks how often', async (t) => {
  const { url } = await testDatabase(t);
  const socket = new URL(url.replace('@/', '@localhost/')).searchParams.get('host');
  if (!socket) return t.pass('a foreign server: not ours to cut off');
  const proxy = await FaultyProxy.open(path.join(socket, '.s.PGSQL.5432'));
  const lines: string[] = [];
  const write = (_fields: object, message: string) => lines.push(message);
  const outage = new OutageLog('database', { error: write, warn: write, info: write } as never);
  const { db, pool, close } = openDatabase({
    url: `postgresql://tds@127.0.0.1:${proxy.port}/${new URL(url.replace('@/', '@localhost/')).pathname.slice(1)}`,
    ...{ max: 5, applicationName: 'tds-test', outage },
  });
  t.teardown(async () => {
    await close();
    await proxy.close();
  });
  const ask = () => Promise.allSettled([sql`select 1`.execute(db), sql`select 2`.execute(db), pool.query('select 3')]);
  await ask();
  t.same(lines, []);

  proxy.mode = { kind: 'refuse' };
  proxy.resetAll();
  for (let round = 0; round < 5; round += 1)
    t.same(
      (await ask()).map(({ status }) => status),
      ['rejected', 'rejected', 'rejected'],
    );
  t.same(lines, ['database away']);

  proxy.mode = { kind: 'pass' };
  await ask();
  await t.rejects(sql`select 1 / 0`.execute(db), /division by zero/);
  t.same(lines, ['database away', 'database back']);
});

t.test(
  'a server that refuses the first connection is away as well, but a pool that is used up is no outage',
  async (t) => {
    const lines: string[] = [];
    const write = (_fields: object, message: string) => lines.push(message);
    const outage = new OutageLog('database', { error: write, warn: write, info: write } as never);
    const nobody = openDatabase({
      url: 'postgresql://tds@127.0.0.1:1/tds',
      max: 1,
      applicationName: 'tds-test',
      outage,
    });
    t.teardown(nobody.close);
    await t.rejects(sql`select 1`.execute(nobody.db), { code: 'ECONNREFUSED' });
    await t.rejects(nobody.pool.query('select 1'), { code: 'ECONNREFUSED' });
    t.same(lines, ['database away']);

    const { url } = await testDatabase(t);
    const busy = openDatabase({ url, max: 1, applicationName: 'tds-test', outage });
    const client = await busy.pool.connect();
    t.teardown(async () => {
      client.release();
      await busy.close();
    });
    t.same(lines, ['database away', 'database back']);
    await t.rejects(busy.pool.connect(), /timeout exceeded when trying to connect/);
    t.same(lines, ['database away', 'database back']);
  },
);
