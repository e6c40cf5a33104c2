/** What the doctor finds in the server itself, which all tests share: measured values are given to it here. */
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { type Disk, diskExamination, slowStatements } from '../../src/monitor/doctor/server.ts';
import { testDatabase } from '../helper.ts';

const { db, pool } = await testDatabase(t);
const config = loadConfig({ NODE_ENV: 'test' });

t.test('a disk that fills up is found before it is full', async (t) => {
  const disk = (parts: Partial<Disk>) =>
    diskExamination(async () => ({ size: 100e9, free: 50e9, bytesPerDay: 1e9, ...parts }))(db, config);
  t.same(await disk({}), []);
  t.same(await disk({ bytesPerDay: 0 }), []);
  t.match(await disk({ bytesPerDay: 10e9 }), [
    { code: 'disk', severity: 'warning', evidence: '50.0 GB of 100.0 GB are free; about 5 days at 10.0 GB a day' },
  ]);
  t.match(await disk({ bytesPerDay: 30e9 }), [{ severity: 'critical' }]);
  t.match(await disk({ free: 4e9, bytesPerDay: 0 }), [{ severity: 'critical', cause: 'something else fills it' }]);
  t.same(await diskExamination(async () => undefined)(db, config), [], 'nobody sees the disk of another machine');
});

t.test('slow statements are named where the extension tells of them', async (t) => {
  // Stands in for the extension, which has to be loaded when a server starts.
  const shared =
    'create schema stand_in; create table stand_in.pg_stat_statements (query text, calls bigint, mean_exec_time float8, total_exec_time float8, dbid oid)';
  await pool.query(shared);
  await pool.query(`insert into stand_in.pg_stat_statements select 'select * from books_records\n where module = $1', 40, 2500, 1e5, oid
    from pg_database where datname = current_database()`);
  const statements = slowStatements('stand_in.pg_stat_statements');
  t.match(await statements(db, config), [
    { code: 'slow_statements', evidence: '2500 ms, 40 times: select * from books_records where module = $1' },
  ]);
  await pool.query('update stand_in.pg_stat_statements set calls = 2');
  t.same(await statements(db, config), [], 'a few calls are no pattern');
  await pool.query('drop schema stand_in cascade');
  t.same(await statements(db, config), [], 'and without it nobody knows');
});
