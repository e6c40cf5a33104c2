/** The audit log is a hash chain: whoever alters it, be it the owner of the tables, is found out. */
import { readdirSync } from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { type Migration, Migrator } from 'kysely/migration';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { migrateToLatest } from '../../src/db/migrate.ts';
import { purgeAudit } from '../../src/db/purge-audit.ts';
import { MIGRATIONS_DIR } from '../../src/db/schema-version.ts';
import { act, recordAudit } from '../../src/monitor/audit.ts';
import { verifyAudit } from '../../src/monitor/verify-audit.ts';
import { emptyDatabase, testDatabase } from '../helper.ts';

const { db, pool } = await testDatabase(t);

const entry = (n: number) => ({
  ...{ operator: `operator ${n}`, action: 'mark.make', target: String(n), result: 'done', requestId: `request-${n}` },
  detail: { reason: `reason ${n}`, amount: 12345678901234567890n.toString(), text: 'ü\n"' },
});
const write = async (count: number) => {
  for (let n = 0; n < count; n++) await recordAudit(db, entry(n));
};

/** What only the owner of the table can do. */
async function tamper(statement: string): Promise<void> {
  await pool.query(`begin; alter table tds_audit_log disable trigger all; ${statement};
    ${['append_only', 'no_truncate', 'chained'].map((name) => `alter table tds_audit_log enable always trigger tds_audit_log_${name};`).join('')}
    commit`);
}

/** Runs `work` on the log as it is and puts it back. */
async function undone(work: () => Promise<void>): Promise<void> {
  await pool.query(
    'create table kept as select * from tds_audit_log; create table kept_head as select * from tds_audit_head',
  );
  await work().finally(async () => {
    const columns = 'id, created_at, operator, action, target, result, request_id, detail, before, after, hash';
    await tamper(`delete from tds_audit_log; insert into tds_audit_log (${columns}) select ${columns} from kept;
      delete from tds_audit_head; insert into tds_audit_head select * from kept_head`);
    await pool.query('drop table kept, kept_head');
  });
}

t.test('an empty log is intact', async (t) => {
  t.same(await verifyAudit(db), {
    ...{ verdict: 'intact', entries: 0, head: { id: '0', hash: '' }, archived_id: '0', problems: [] },
  });
});

t.test('many writers at once make one chain without gaps', async (t) => {
  await Promise.all(Array.from({ length: 8 }, () => write(25)));
  t.match(await verifyAudit(db), { verdict: 'intact', entries: 200, head: { id: '200' } });
  const { rows } = await pool.query(
    'select min(id)::int as first, max(id)::int as last, count(*)::int from tds_audit_log',
  );
  t.same(rows, [{ first: 1, last: 200, count: 200 }]);
});

t.test('an entry that is rolled back leaves no gap', async (t) => {
  const failing = act(
    db,
    { name: 'ann', requestId: 'r' },
    {
      ...{ action: 'mark.make', target: null, stands: ['done'] },
      run: (): Promise<{ outcome: 'done' }> => Promise.reject(new Error('no')),
    },
  );
  await t.rejects(failing, /no/);
  await pool.query(`begin; insert into tds_audit_log (operator, action, result) values ('a', 'b', 'c'); rollback`);
  await recordAudit(db, entry(1));
  t.match(await verifyAudit(db), { verdict: 'intact', head: { id: '201' } });
});

t.test('a deed that takes long holds no other deed back', async (t) => {
  const quick = () =>
    act(
      db,
      { name: 'bob', requestId: 'quick' },
      {
        ...{ action: 'mark.make', target: 'quick', stands: ['done'] },
        run: async () => ({ outcome: 'done' }),
      },
    );
  // It would never end if the other one had to wait for it.
  await act(
    db,
    { name: 'ann', requestId: 'slow' },
    {
      ...{ action: 'mark.make', target: 'slow', stands: ['done'] },
      run: quick,
    },
  );
  const { rows } = await pool.query('select target from tds_audit_log order by id desc limit 2');
  t.same(rows, [{ target: 'slow' }, { target: 'quick' }]);
  t.match(await verifyAudit(db), { verdict: 'intact' });
});

t.test('an entry that its owner altered is found and named, whatever was altered', async (t) => {
  const change = fc.record({
    id: fc.integer({ min: 1, max: 203 }),
    column: fc.constantFrom(
      'operator',
      'action',
      'target',
      'result',
      'request_id',
      'detail',
      'before',
      'after',
      'created_at',
    ),
  });
  await fc.assert(
    fc.asyncProperty(change, async ({ id, column }) => {
      const json = ['detail', 'before', 'after'].includes(column);
      const value =
        column === 'created_at' ? `created_at + interval '1 microsecond'` : json ? `'{"x": 1}'` : `'forged'`;
      await undone(async () => {
        await tamper(`update tds_audit_log set ${column} = ${value} where id = ${id}`);
        t.match(await verifyAudit(db), { verdict: 'broken', problems: [{ id: String(id), problem: 'altered' }] });
      });
    }),
    { numRuns: 10 },
  );
  t.match(await verifyAudit(db), { verdict: 'intact' });
});

t.test('a forged hash shows in the entry behind it', async (t) => {
  await undone(async () => {
    await tamper(`update tds_audit_log l set operator = 'forged' where id = 7;
      update tds_audit_log l set hash = tds_audit_hash((select hash from tds_audit_log where id = 6), l) where id = 7`);
    t.match(await verifyAudit(db), { verdict: 'broken', problems: [{ id: '8', message: /the one before it/ }] });
  });
});

t.test('entries removed from the middle, from the beginning and from the end are missed', async (t) => {
  const missing = async (where: string, id: string, message: RegExp) =>
    undone(async () => {
      await tamper(`delete from tds_audit_log where ${where}`);
      t.match(await verifyAudit(db), { verdict: 'broken', problems: [{ id, problem: 'missing', message }] });
    });
  await missing('id between 50 and 52', '53', /between 49 and 53/);
  await missing('id < 5', '5', /between 0 and 5/);
  await missing('id > 190', '203', /ends with entry 190/);
});

t.test('a chain that was written anew as a whole contradicts an earlier head', async (t) => {
  const { head } = await verifyAudit(db);
  await write(1);
  t.match(await verifyAudit(db, head), { verdict: 'intact' });
  await undone(async () => {
    await tamper(`create table forged as select * from tds_audit_log order by id;
      delete from tds_audit_log; update tds_audit_head set last_id = 0, hash = '';
      alter table tds_audit_log enable always trigger tds_audit_log_chained;
      insert into tds_audit_log (created_at, operator, action, target, result, request_id, detail)
        select created_at, 'forged', action, target, result, request_id, detail from forged order by id; drop table forged`);
    t.match(await verifyAudit(db), { verdict: 'intact' }, 'by itself it looks right');
    t.match(await verifyAudit(db, head), { verdict: 'broken', problems: [{ id: head.id, message: /rewritten/ }] });
    t.match(await verifyAudit(db, { id: '999', hash: head.hash }), { problems: [{ id: '999', problem: 'missing' }] });
  });
});

t.test('the owner purges the oldest, and the rest is still a chain', async (t) => {
  await tamper(`update tds_audit_log set created_at = now() - interval '400 days' where id <= 100`);
  t.equal((await verifyAudit(db)).problems.length, 100, 'ages cannot be forged either');
  await tamper(`update tds_audit_log l set hash = h.hash from (with recursive chain as (
      select id, tds_audit_hash('', a) as hash from tds_audit_log a where id = 1
      union all select a.id, tds_audit_hash(c.hash, a) from chain c join tds_audit_log a on a.id = c.id + 1)
      select * from chain) h where h.id = l.id;
    update tds_audit_head set hash = (select hash from tds_audit_log order by id desc limit 1)`);
  const { entries } = await verifyAudit(db);
  t.equal(await purgeAudit(db, 365), 100);
  t.match(await verifyAudit(db), { verdict: 'intact', archived_id: '100', entries: entries - 100 + 1 });
  const { rows } = await pool.query('select action, result, detail from tds_audit_log order by id desc limit 1');
  t.match(rows, [{ action: 'audit.purge', result: 'purged', detail: { deleted: 100, up_to: '100' } }]);
  t.equal(await purgeAudit(db, 365), 0, 'a second time there is nothing to do');
  await t.rejects(pool.query('delete from tds_audit_log'), /append-only/, 'and nobody else can');
});

t.test('what an older release wrote is chained by the migration', async (t) => {
  const { pool, db, close } = openDatabase({ url: await emptyDatabase(t), max: 2, applicationName: 'tds-test' });
  t.teardown(close);
  const names = readdirSync(MIGRATIONS_DIR).filter((name) => name < '0026' && /^\d{4}_\w+\.ts$/.test(name));
  const older = names.sort().map(async (name) => {
    const migration: Migration = await import(path.join(MIGRATIONS_DIR, name));
    return [name.slice(0, -3), migration] as const;
  });
  const migrations = Object.fromEntries(await Promise.all(older));
  const tables = { migrationTableName: 'tds_migrations', migrationLockTableName: 'tds_migration_lock' };
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations }, ...tables });
  t.equal((await migrator.migrateToLatest()).error, undefined);
  for (let n = 0; n < 3; n++)
    await pool.query(
      `insert into tds_audit_log (operator, action, result) values ('ann', 'alert.acknowledge', 'done')`,
    );
  await migrateToLatest(db);
  await recordAudit(db, entry(1));
  t.match(await verifyAudit(db), { verdict: 'intact', entries: 4, head: { id: '4' } });
});
