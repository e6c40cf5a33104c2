/** Reports to Sentry, as a receiver on loopback gets them. */
import path from 'node:path';
import t from 'tap';
import { buildApp } from '../../src/api/app.ts';
import { loadConfig } from '../../src/config.ts';
import { reportErrorGroups } from '../../src/monitor/sentry/report-groups.ts';
import { errorReporter } from '../../src/monitor/sentry/sentry.ts';
import { rollUpFailures } from '../../src/queue/failures.ts';
import { silentLog, testDatabase, waitFor } from '../helper.ts';
import { spawnProcess } from '../system.ts';
import { attemptEach } from './errors/failing.ts';
import { Receiver } from './sentry-receiver.ts';

const { db, pool, url } = await testDatabase(t);
const receiver = await Receiver.start(t);
const config = { dsn: receiver.dsn, environment: 'production' } as const;

const report = async () => {
  await rollUpFailures(db);
  await reportErrorGroups(db, pool, silentLog, config);
};
const fails = (...entities: string[]) =>
  attemptEach(
    pool,
    entities,
    async () => {
      throw Object.assign(new Error('no such customer: Miss Marple'), { status: 503 });
    },
    { record: { invoice_id: '1', customer_name: 'Miss Marple' } },
  );

t.afterEach(() => {
  receiver.envelopes.length = 0;
  receiver.status = 200;
});

t.test('a new cause is reported once, grouped by its fingerprint, without the customer', async (t) => {
  await fails('1', '2');
  await report();
  await report();
  t.equal(receiver.envelopes.length, 1);
  const { path, auth, header, item, event, text } = receiver.last;
  t.equal(path, '/api/42/envelope/');
  t.match(auth, /^Sentry sentry_version=7, sentry_client=tds-core\/\S+, sentry_key=public-key$/);
  t.match(item, { type: 'event', length: Buffer.byteLength(JSON.stringify(event)) });
  t.equal(header.event_id, event.event_id);
  const { rows } = await pool.query('select fingerprint from tds_failure_groups');
  t.match(event, {
    event_id: /^[0-9a-f]{32}$/,
    fingerprint: [rows[0].fingerprint],
    level: 'error',
    platform: 'node',
    environment: 'production',
    tags: { error_tag: 'ServiceUnavailableError', handler: 'crm', state: 'open' },
    extra: { failures: 2 },
  });
  t.match(event.exception.values, [{ type: 'ServiceUnavailableError', value: 'no such customer: …' }]);
  t.match(event.exception.values[0].stacktrace.frames.at(-1), { filename: 'sentry.test.ts', lineno: Number });
  t.notMatch(text, 'Marple');
});

t.test('one that was resolved and returns is reported again; an ignored one never', async (t) => {
  await pool.query(`update tds_failure_groups set resolved_at = clock_timestamp(), resolved_by = 'ann'`);
  await report();
  t.equal(receiver.envelopes.length, 0, 'nothing has happened since');
  await fails('3');
  await report();
  await report();
  t.equal(receiver.envelopes.length, 1);
  t.match(receiver.last.event.tags, { state: 'reopened' });
  await pool.query(`update tds_failure_groups set resolved_at = null, resolved_by = null, reported_at = null,
    ignored_at = now(), ignored_by = 'ann', ignore_reason = 'a test'`);
  await fails('4');
  await report();
  t.equal(receiver.envelopes.length, 1);
});

t.test('what Sentry does not take comes again under the same id', async (t) => {
  await pool.query(`update tds_failure_groups set ignored_at = null, ignored_by = null, ignore_reason = null`);
  receiver.status = 429;
  await report();
  receiver.status = 200;
  await report();
  await report();
  const ids = receiver.envelopes.map(({ event }) => event.event_id);
  t.equal(ids.length, 2);
  t.equal(ids[0], ids[1]);
});

t.test(
  'an error that the API answers with 500 is reported once an hour with its place, not with its message',
  async (t) => {
    const reportError = errorReporter(config, 'tds-core-api', silentLog);
    const inbox = { accept: () => Promise.reject(new TypeError('Miss Marple')) };
    const api = await buildApp({ config: loadConfig({}), log: silentLog, db, pool, inbox, reportError });
    const deliver = () =>
      api.inject({
        method: 'POST',
        url: '/webhooks/zoho-books/600/invoice',
        payload: { invoice: { invoice_id: '1' } },
      });
    t.equal((await deliver()).statusCode, 500);
    t.equal((await deliver()).statusCode, 500);
    await waitFor('the report', () => receiver.envelopes.length > 0);
    t.equal(receiver.envelopes.length, 1);
    t.match(receiver.last.event, { level: 'error', logger: 'tds-core-api', tags: { service: 'tds-core-api' } });
    t.match(receiver.last.event.exception.values, [{ type: 'TypeError' }]);
    t.notMatch(receiver.last.text, 'Marple');
    await api.close();
  },
);

t.test('an error that ends the worker is reported with its place, not with its message', async (t) => {
  const dying = `setTimeout(() => { throw Object.assign(new TypeError('Miss Marple'), { code: 'ERR_CANARY' }); }, 1);
    export default { eventTypes: ['*'], async handle() {} };`;
  const settings = { DATABASE_URL: url, SENTRY_DSN: receiver.dsn, HANDLERS_DIR: t.testdir({ 'dying.js': dying }) };
  const { child, output } = spawnProcess(t, 'worker', settings);
  await waitFor('the report', async () => receiver.envelopes.length > 0, 30_000);
  await waitFor('its end', async () => child.exitCode !== null, 30_000);
  t.equal(child.exitCode, 1);
  t.match(output(), /"uncaught exception"/);
  t.match(receiver.last.event, { level: 'fatal', logger: 'tds-core-worker', tags: { service: 'tds-core-worker' } });
  t.match(receiver.last.event.exception.values, [
    { type: 'TypeError', value: 'ERR_CANARY', stacktrace: { frames: [{ filename: path.basename('dying.js') }] } },
  ]);
  t.notMatch(receiver.last.text, 'Marple');
});

t.test('a process that dies does not wait for a Sentry that never answers', async (t) => {
  receiver.isSilent = true;
  const dying = `setTimeout(() => { throw new Error('no'); }, 1); export default { eventTypes: ['*'], async handle() {} };`;
  const settings = { DATABASE_URL: url, SENTRY_DSN: receiver.dsn, HANDLERS_DIR: t.testdir({ 'dying.js': dying }) };
  const { child } = spawnProcess(t, 'worker', settings);
  await waitFor('its end', async () => child.exitCode !== null, 30_000);
  t.equal(child.exitCode, 1);
});
