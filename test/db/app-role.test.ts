/** The services connect as tds_app, which works on everything and cannot touch what is in the audit log. */
import t from 'tap';
import { APP_ROLE, grantToServices } from '../../src/db/app-role.ts';
import { openDatabase } from '../../src/db/database.ts';
import { migrateToLatest } from '../../src/db/migrate.ts';
import { refreshViews } from '../../src/db/refresh-views.ts';
import { recordAudit } from '../../src/monitor/audit.ts';
import { verifyAudit } from '../../src/monitor/verify-audit.ts';
import { purge } from '../../src/queue/purge.ts';
import { rebuild } from '../../src/queue/rebuild.ts';
import { emptyDatabase, waitFor } from '../helper.ts';
import { startSystem } from '../system.ts';
import { appUrlOf } from '../template.ts';

if (process.env.DATABASE_URL) {
  t.plan(0, 'the server of DATABASE_URL has a role of its own');
  process.exit();
}

const system = await startSystem(t, { OPERATOR_TOKENS: 'ann:admin:token-of-ann-123' });
const app = openDatabase({ url: system.appUrl, max: 4, applicationName: 'tds-test' });
t.teardown(app.close);

const entry = { operator: 'ann', action: 'mark.make', target: null, result: 'done', requestId: 'r-1' };
const DENIED = { code: '42501' };

t.test('the services are that role', async (t) => {
  const { rows } = await system.pool.query(
    `select distinct usename from pg_stat_activity where datname = current_database() and application_name ~ '^tds-core'`,
  );
  t.same(rows, [{ usename: APP_ROLE }]);
});

t.test('it adds to the audit log, and can neither change nor delete what is there', async (t) => {
  await recordAudit(app.db, entry);
  for (const statement of [
    `update tds_audit_log set operator = 'bob'`,
    'delete from tds_audit_log',
    'truncate tds_audit_log',
    'truncate tds_audit_log, tds_audit_head cascade',
    `update tds_audit_head set hash = ''`,
    'delete from tds_audit_head',
    'drop table tds_audit_log',
    'alter table tds_audit_log disable trigger all',
    'create trigger mine before insert on tds_audit_log for each row execute function tds_refuse_change()',
    `create or replace function tds_chain_audit() returns trigger language plpgsql as 'begin return null; end'`,
    `update books_views set base = 'select 1'`,
    `insert into books_custom_fields (module, list, field, type) values ('invoice', 'custom_fields', 'x', 'text')`,
    `set session_replication_role = 'replica'`,
    'set role tds',
    'create table of_mine (id int)',
  ])
    await t.rejects(app.pool.query(statement), DENIED, statement);
  t.match(await verifyAudit(app.db), { verdict: 'intact', problems: [] });
});

t.test('not even a temporary table in the place of ours makes a function of the owner act for it', async (t) => {
  const client = await app.pool.connect();
  t.teardown(() => client.release(true));
  await client.query('create temporary table tds_audit_head as select * from public.tds_audit_head');
  await client.query('create temporary table books_views as select * from public.books_views');
  await client.query(`update pg_temp.books_views set base = 'select 1); create table stolen (id int); --'`);
  await client.query(`select * from books_refresh_views()`);
  await client.query(`insert into public.tds_audit_log (operator, action, result) values ('ann', 'mark.make', 'done')`);
  const { rows } = await client.query(`select to_regclass('public.stolen') as stolen`);
  t.same(rows, [{ stolen: null }]);
  t.match(await verifyAudit(app.db), { verdict: 'intact' });
});

t.test('events are taken in and processed, and operators act', async (t) => {
  const { url } = system.api;
  const call = (path: string, init: RequestInit = {}) => {
    const headers = { authorization: 'Bearer token-of-ann-123', 'content-type': 'application/json' };
    return fetch(url + path, { headers, ...init });
  };
  const contact = { contact: { contact_id: '982000000567200', contact_name: 'Example Ltd' } };
  const body = JSON.stringify(contact);
  const sent = await call('/webhooks/zoho-books/10/contact/created', { method: 'POST', body });
  t.equal(sent.status, 202);
  const { event_id: id } = (await sent.json()) as { event_id: string };
  const status = async () =>
    (await system.pool.query('select status from tds_sync_queue where id = $1', [id])).rows[0]?.status;
  await waitFor('the event to be completed', async () => (await status()) === 'completed');
  for (const path of [
    `/api/admin/events/${id}/replay`,
    '/dashboard/queue/pause',
    '/dashboard/queue/resume',
    '/dashboard/queue/purge',
    '/dashboard/queue/rebuild',
    '/api/jobs/process-pending',
  ]) {
    const answer = await call(path, { method: 'POST', body: JSON.stringify({ reason: 'a test' }) });
    t.equal(answer.status, 200, `${path}: ${await answer.text()}`);
  }
  for (const path of ['metrics', 'audit/verify', 'doctor', 'errors', 'digest', 'field-drift', 'changes'])
    t.equal((await call(`/dashboard/${path}`)).status, 200, path);
});

t.test('what the nights and the ends of pulls do works as well', async (t) => {
  t.ok(await purge(app.pool, 30));
  t.same(await rebuild(app.pool, false), []);
  t.ok(Array.isArray(await refreshViews(app.db)));
  t.same(await migrateToLatest(app.db), [], 'a schema that is current needs no owner');
});

t.test('it may work on what its owner creates later, for handlers', async (t) => {
  await system.pool.query('create schema shop; create table shop.orders (id int generated always as identity, n int)');
  await app.pool.query('insert into shop.orders (n) values (1); update shop.orders set n = 2; delete from shop.orders');
  t.pass();
});

t.test('it cannot migrate, and says who can', async (t) => {
  const url = await emptyDatabase(t);
  const owner = openDatabase({ url, max: 1, applicationName: 'tds-test' });
  const { db, close } = openDatabase({ url: appUrlOf(url), max: 1, applicationName: 'tds-test' });
  t.teardown(() => Promise.all([owner.close(), close()]));
  await migrateToLatest(owner.db);
  await grantToServices(owner.db);
  await owner.pool.query(`delete from tds_migrations where name = (select max(name) from tds_migrations)`);
  await t.rejects(migrateToLatest(db), /migrate as their owner/);
});

t.test('where there is no other role than the owner, nothing is granted', async (t) => {
  t.equal(await grantToServices(app.db), false);
});
