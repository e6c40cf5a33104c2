import { mock } from 'node:test';
import { sql } from 'kysely';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import type { Logger } from '../../src/log.ts';
import { announceAlerts } from '../../src/monitor/alerts/announce.ts';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { alertsWithoutWorker, EVALUATE_MS } from '../../src/monitor/alerts/stand-in.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { registerWorker } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const OPTIONS = { failureRateMinEvents: 20, watchedSeconds: () => 3600 };

/** The API's part, with a clock that stands still until it is told to go on. */
function standIn(database = db) {
  const lines: [level: string, title: unknown, message: string][] = [];
  const write = (level: string) => (fields: { rule?: string; error?: unknown }, message: string) =>
    lines.push([level, fields.rule ?? fields.error, message]);
  const log = { info: write('info'), warn: write('warn'), error: write('error') } as unknown as Logger;
  const part = alertsWithoutWorker(database, log, OPTIONS);
  const turn = async () => {
    part.start?.();
    mock.timers.tick(EVALUATE_MS);
    await part.stop?.();
  };
  return { lines, log, turn };
}

t.before(() => mock.timers.enable({ apis: ['setInterval'] }));
t.teardown(() => mock.timers.reset());
t.beforeEach(async () => {
  await sql`truncate tds_workers, tds_alerts, tds_queue_counts`.execute(db);
  await sql`insert into tds_queue_counts (pending) values (600)`.execute(db);
});

t.test('the API leaves alerts to the workers while one works', async (t) => {
  await registerWorker(pool);
  const { lines, turn } = standIn();
  await turn();
  t.strictSame(lines, []);
});

t.test('the API evaluates all alerts while every worker is draining', async (t) => {
  await registerWorker(pool);
  await sql`update tds_workers set draining = true`.execute(db);
  const { lines, turn } = standIn();
  await turn();
  t.strictSame(lines, [['warn', 'queue_backlog_warning', 'alert fired']]);
});

t.test('no worker is told at error by the API, once, and resolved at info by the next worker', async (t) => {
  const { lines, log, turn } = standIn();
  await sql`truncate tds_queue_counts`.execute(db);
  await turn();
  await turn();
  t.strictSame(lines, [['error', 'no_worker', 'alert fired']]);
  await registerWorker(pool);
  announceAlerts(log, (await evaluateAlerts(db, { failureRateMinEvents: 20, watchedSeconds: 1 })) ?? []);
  t.strictSame(lines.at(-1), ['info', 'no_worker', 'alert resolved']);
});

t.test('a failure is a line in the log, and the next turn tries again', async (t) => {
  const { lines, turn } = standIn();
  await sql`alter table tds_workers rename to tds_workers_away`.execute(db);
  await turn();
  t.strictSame(
    lines.map(([level, , message]) => [level, message]),
    [['warn', 'evaluating alerts failed']],
  );
  await sql`alter table tds_workers_away rename to tds_workers`.execute(db);
  await turn();
  await waitFor('the alert', () => lines.some(([, rule]) => rule === 'no_worker'));
});

t.test('of an outage the pool tells, so that nothing is said twice', async (t) => {
  const nobody = openDatabase({ url: 'postgresql://127.0.0.1:1/tds', max: 1, applicationName: 'tds-test' });
  t.teardown(nobody.close);
  const { lines, turn } = standIn(nobody.db);
  await turn();
  t.strictSame(lines, []);
});
