import t from 'tap';
import { syncDefinitions } from '../../src/sync/definitions.ts';
import { startRun } from '../../src/workflows/start.ts';
import { type TestDatabase, testDatabase, waitFor } from '../helper.ts';
import { testWorker } from '../workflows/engine.ts';
import { clientOf } from '../zoho/calling.ts';
import { startMirroring } from './mirroring.ts';
import { passWindow, stage } from './stage.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

/** Workers with clients of their own, as processes have them, that run these workflows until all have completed. */
async function runAll(
  t: Parameters<typeof testWorker>[0],
  { standIn }: Awaited<ReturnType<typeof stage>>,
  names: string[],
  workers: number,
) {
  const { organizationId } = standIn;
  const { callsPerMinute, windowMs, callsInFlight } = standIn.limits.options;
  const limits = { callsPerMinute, windowMs, callsInFlight };
  await pool.query('truncate tds_workflows cascade');
  for (let n = 0; n < workers; n += 1) {
    const client = clientOf(standIn, db, { limits, patienceMs: 200 });
    await testWorker(t, database as TestDatabase, syncDefinitions(db, new Map([[organizationId, client]])));
  }
  for (const name of names) {
    const request = { definition: { name }, organizationId, payload: { organization_id: organizationId } };
    await db.transaction().execute((trx) => startRun(trx, request, 'ann'));
  }
  return () =>
    waitFor(
      'all to be completed',
      async () => {
        const rows = await db.selectFrom('tds_workflows').select('status').execute();
        return rows.every(({ status }) => status === 'completed');
      },
      120_000,
    );
}

t.test('three workers together never exceed the calls of a minute nor those in flight', async (t) => {
  const limits = { callsPerMinute: 30, windowMs: 60_000, callsInFlight: 5, callsPerDay: 1_000_000 };
  const there = await stage(t, database, { invoice: 60, contact: 60, bill: 60 }, limits);
  const done = await runAll(t, there, ['SyncAllInvoices', 'SyncAllContacts', 'SyncAllBills'], 3);
  // A window passes whenever all that is left waits for it.
  const windows = setInterval(async () => {
    const { rows } = await pool.query(`select count(*) filter (where waits_for ~ 'calls were made')::int as waiting,
      count(*)::int as left from tds_workflows where status = 'running'`);
    if (rows[0].waiting === 0 || rows[0].waiting < rows[0].left) return;
    await passWindow(database, there.standIn);
    await pool.query(`update tds_workflows set run_at = now() where status = 'running'`);
  }, 50);
  await done().finally(() => clearInterval(windows));
  t.same(there.standIn.limits.violations, []);
  t.ok(there.standIn.limits.mostInWindow > 20, `${there.standIn.limits.mostInWindow} calls of 30 were used`);
  t.equal(there.standIn.requests.length, 183, 'and none was made twice');
});

t.test('after code 45 no call is made until the day is over', async (t) => {
  // One call at a time: those that are in flight when the day ends could not know.
  const limits = { callsPerMinute: 1_000_000, callsInFlight: 2, callsPerDay: 1000, resetsInSeconds: 3600 };
  const there = await stage(t, database, { invoice: 40 }, limits);
  const { standIn } = there;
  standIn.delay = async ({ path }) => {
    if (/\d$/.test(path)) standIn.limits.usedByOthers = 1000;
    return undefined;
  };
  const done = await runAll(t, there, ['SyncAllInvoices'], 3);
  const waits = await waitFor('the run to wait for the day', async () => {
    const row = await db.selectFrom('tds_workflows').select('waits_for').executeTakeFirstOrThrow();
    return row.waits_for ?? undefined;
  });
  t.match(waits, /calls of Zoho are used up until|refuses further calls today/);
  const calls = standIn.requests.length;
  await pool.query(`update tds_workflows set run_at = now()`);
  await waitFor('the run to be refused again', async () => {
    const { rows } = await pool.query('select count(*)::int as n from tds_workflow_logs where message like $1', [
      'waits%',
    ]);
    return rows[0].n > 1;
  });
  t.equal(standIn.requests.length, calls, 'no call was made');
  t.notOk(standIn.limits.violations.includes('after-day-limit'));
  standIn.delay = () => undefined;
  standIn.limits.newDay();
  await pool.query(`update tds_zoho_quota set paused_until = now(), day_resets_at = now()`);
  await pool.query(`update tds_workflows set run_at = now()`);
  await done();
  const { rows } = await pool.query(`select count(*)::int as n from tds_pull_rows where module = 'invoice'`);
  t.equal(rows[0].n, 40);
});
