import t from 'tap';
import { buildApp } from '../../src/api/app.ts';
import { loadConfig } from '../../src/config.ts';
import { openDatabase } from '../../src/db/database.ts';
import { migrateToLatest } from '../../src/db/migrate.ts';
import { schemaState } from '../../src/db/schema-version.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { createLogger } from '../../src/log.ts';
import { emptyDatabase, silentLog, type Teardown } from '../helper.ts';

const DELIVERY = {
  method: 'POST',
  url: '/webhooks/zoho-books/10/invoice/updated',
  payload: { invoice: { invoice_id: '1', last_modified_time: '2026-10-31T10:00:00+0000' } },
} as const;

/** An API over a database that nobody has migrated, or over that of `url`, and what it logged as errors. */
async function onEmptyDatabase(t: Teardown, given?: string) {
  const url = given ?? (await emptyDatabase(t));
  const open = openDatabase({ url, max: 5, applicationName: 'tds-test' });
  t.teardown(open.close);
  const logged: { reason?: string }[] = [];
  const log = createLogger('tds-core-test', 'silent');
  log.error = ((fields: object) => logged.push(fields)) as typeof log.error;
  const inbox = new Inbox(open.pool, silentLog, { timeoutMs: 500 });
  const api = await buildApp({ config: loadConfig({ NODE_ENV: 'test' }), log, db: open.db, pool: open.pool, inbox });
  t.teardown(() => api.close());
  const readiness = async () => {
    const answer = await api.inject('/readyz');
    const { dependencies } = answer.json();
    return [answer.statusCode, dependencies.find((one: { name: string }) => one.name === 'schema')];
  };
  return { ...open, url, api, logged, readiness };
}

t.test('a database that nobody has migrated is named everywhere, and works as soon as it is migrated', async (t) => {
  const { db, api, logged, readiness } = await onEmptyDatabase(t);
  t.match(await readiness(), [503, { status: 'down', advice: /lacks 0001_inbox_and_queue.*npm run migrate/ }]);
  const answers = await Promise.all([api.inject(DELIVERY), api.inject(DELIVERY), api.inject('/dashboard/metrics')]);
  for (const answer of answers) {
    t.equal(answer.statusCode, 503);
    t.ok(answer.headers['retry-after']);
    t.match(answer.json(), { code: 'not_migrated' });
    t.notMatch(answer.body, /tds_|0001|relation/, 'no table is named outside');
  }
  t.match(logged, [{ reason: /0001_inbox_and_queue/ }], 'the log says why, once');
  t.equal(logged.length, 1);

  await migrateToLatest(db);
  t.equal((await api.inject(DELIVERY)).statusCode, 202);
  t.match(await readiness(), [200, { status: 'up' }]);
});

t.test('a database that a newer release has migrated is refused at the start, not under way', async (t) => {
  const old = await onEmptyDatabase(t);
  await migrateToLatest(old.db);
  t.equal((await old.api.inject(DELIVERY)).statusCode, 202);
  await old.pool.query("insert into tds_migrations (name, timestamp) values ('9999_from_the_future', now()::text)");
  t.same(await schemaState(old.db), { state: 'newer', migrations: ['9999_from_the_future'] });
  t.match(await old.readiness(), [503, { status: 'down', advice: /newer release \(9999_from_the_future\)/ }]);
  const again = { ...DELIVERY, url: '/webhooks/zoho-books/11/invoice/updated' };
  t.equal((await old.api.inject(again)).statusCode, 202, 'whoever runs goes on until it is replaced');
  const restarted = await onEmptyDatabase(t, old.url);
  t.match((await restarted.api.inject(again)).json(), { status: 503, code: 'not_migrated' });
  t.match(restarted.logged, [{ reason: /newer release/ }]);
});

t.test('tables that vanish make it ask anew', async (t) => {
  const { db, pool, api, logged } = await onEmptyDatabase(t);
  await migrateToLatest(db);
  t.equal((await api.inject(DELIVERY)).statusCode, 202);
  await pool.query('drop schema public cascade; create schema public');
  const answer = await api.inject({ ...DELIVERY, url: '/webhooks/zoho-books/11/invoice/updated' });
  t.match(answer.json(), { status: 503, code: 'not_migrated' });
  t.match(logged, [{ reason: /0001_inbox_and_queue/ }]);
});
