import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import t from 'tap';
import { pause, resume } from '../../src/queue/pause.ts';
import { containErrors } from '../../src/worker/containment.ts';
import { claimRun } from '../../src/workflows/claim.ts';
import { readActivities, readWorkflow } from '../../src/workflows/inspect.ts';
import { operate } from '../../src/workflows/operate.ts';
import { releaseForgottenRuns, rescueRuns } from '../../src/workflows/rescue.ts';
import { MAX_CRASHES } from '../../src/workflows/state.ts';
import { silentLog, testDatabase, waitFor } from '../helper.ts';
import { bury, createPages, pages, register, start, statusOf, testWorker, workflow, writtenPages } from './engine.ts';

const database = await testDatabase(t);
const { db } = database;
await createPages(db);

t.afterEach(async () => {
  await sql`truncate tds_workflows, tds_workers cascade`.execute(db);
});

async function heldBy(name: string): Promise<{ id: string; workerId: string }> {
  const id = await start(db, name);
  const workerId = randomUUID();
  await register(db, workerId);
  t.match(await claimRun(db, workerId, [name]), { id });
  return { id, workerId };
}

t.test('the run of a living worker is left alone, that of a dead one goes on a little later', async (t) => {
  const { id, workerId } = await heldBy('Run');
  t.same(await rescueRuns(db, 30), []);
  await bury(db, workerId);
  t.match(await rescueRuns(db, 30), [{ id, worker_id: workerId, status: 'running', crash_count: 1 }]);
  t.match(await readWorkflow(db, id), { worker_id: null, waits_for: 'The worker process that had it in hand died.' });
  t.equal(await claimRun(db, workerId, ['Run']), undefined, 'not at once');
  t.same(await rescueRuns(db, 30), []);
});

t.test('a run is not charged when the watchdog named somebody else', async (t) => {
  const { id, workerId } = await heldBy('Run');
  await sql`update tds_workers set culprit = ${randomUUID()}`.execute(db);
  await bury(db, workerId);
  t.match(await rescueRuns(db, 30), [{ id, crash_count: 0 }]);
  const again = await claimRun(db, randomUUID(), ['Run']);
  t.match(again, { id }, 'at once');
});

t.test('a run that ends every worker fails in the end', async (t) => {
  const id = await start(db, 'Pill');
  for (let crash = 1; crash <= MAX_CRASHES; crash += 1) {
    await sql`update tds_workflows set run_at = now()`.execute(db);
    const workerId = randomUUID();
    await register(db, workerId);
    t.match(await claimRun(db, workerId, ['Pill']), { id });
    await bury(db, workerId);
    t.match(await rescueRuns(db, 30), [{ crash_count: crash }]);
  }
  t.match(await readWorkflow(db, id), { status: 'failed', result: { tag: 'ProcessCrash', message: /died 5 times/ } });
});

t.test('a paused run of a dead worker stays paused', async (t) => {
  const { id, workerId } = await heldBy('Run');
  await db.transaction().execute((trx) => operate(trx, id, 'pause', 'ann'));
  await bury(db, workerId);
  await rescueRuns(db, 30);
  t.match(await readWorkflow(db, id), { status: 'paused', worker_id: null });
});

t.test('what a worker holds without knowing it is given back at no cost', async (t) => {
  const { id, workerId } = await heldBy('Run');
  await releaseForgottenRuns(db, workerId, []);
  t.match(await readWorkflow(db, id), { worker_id: workerId }, 'the claim may still be on its way');
  await sql`update tds_workflows set claimed_at = now() - interval '6 seconds'`.execute(db);
  const { rows } = await sql<{ lease: string }>`select lease from tds_workflows`.execute(db);
  await releaseForgottenRuns(db, workerId, [rows[0]?.lease as string]);
  t.match(await readWorkflow(db, id), { worker_id: workerId }, 'it knows of it');
  await releaseForgottenRuns(db, workerId, []);
  t.match(await readWorkflow(db, id), { worker_id: null, status: 'running' });
});

t.test('a pause of the queue stops runs at the next activity, and none is claimed', async (t) => {
  const id = await start(db, 'Long');
  const long = pages('Long', 3, { write: (page) => (page === 2 ? pause(db, 'ann', null) : undefined) });
  const { loop } = await testWorker(t, database, [long]);
  await waitFor('the run to be given back', async () =>
    (await readWorkflow(db, id))?.waits_for?.startsWith('Processing'),
  );
  t.same(await writtenPages(db, id), [1, 2]);
  await waitFor('the worker to be free', () => loop.inFlight === 0);
  await resume(db);
  await waitFor('the end', async () => (await statusOf(db, id)) === 'completed');
  t.same(await writtenPages(db, id), [1, 2, 3]);
});

t.test('an error that escapes from a workflow fails its run, and the worker goes on', async (t) => {
  const escapes = workflow('Escapes', async (run) => {
    void run.activity('forgotten', { fetch: async () => Promise.reject(new Error('forgotten')), write: async () => 1 });
    return new Promise(() => {});
  });
  const ids = [await start(db, 'Escapes')];
  const { loop } = await testWorker(t, database, [escapes, pages('Plain', 1)], { concurrency: 1 });
  // Without containErrors(), which a worker process has, the test itself would see the rejection.
  const own = process.listeners('unhandledRejection');
  process.removeAllListeners('unhandledRejection');
  containErrors(silentLog);
  t.teardown(() => {
    process.removeAllListeners('unhandledRejection');
    for (const listener of own) process.on('unhandledRejection', listener);
  });
  await waitFor('the run to fail', async () => (await statusOf(db, ids[0] as string)) === 'failed');
  await waitFor('the slot to be free', () => loop.inFlight === 0);
  const id = await start(db, 'Plain');
  await waitFor('the next run to complete', async () => (await statusOf(db, id)) === 'completed');
  t.match((await readActivities(db, id)).activities, [{ status: 'completed' }]);
});
