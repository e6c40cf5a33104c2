import { sql } from 'kysely';
import t from 'tap';
import { ProcessMetrics } from '../../src/monitor/prometheus/process-metrics.ts';
import { WorkflowLoop } from '../../src/worker/workflow-loop.ts';
import { readWorkflow } from '../../src/workflows/inspect.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { silentLog, testDatabase, waitFor } from '../helper.ts';
import { createPages, pages, start, statusOf, testWorker } from './engine.ts';

const database = await testDatabase(t);
const { db, pool } = database;
await createPages(db);

t.test('a long run gives its place to one that waits, and goes on after it', async (t) => {
  const order: string[] = [];
  const long = pages('Long', 3, {
    async fetch(page) {
      order.push(`long ${page}`);
      if (page !== 1) return;
      ids.push(await start(db, 'Short'));
      await sql`update tds_workflows set run_at = now() - interval '3 seconds' where name = 'Short'`.execute(db);
    },
  });
  const short = pages('Short', 1, { fetch: () => void order.push('short') });
  const ids = [await start(db, 'Long')];
  await testWorker(t, database, [long, short], { concurrency: 1, turnMs: 0 });
  await waitFor('both to complete', async () => {
    const statuses = await Promise.all(ids.map((id) => statusOf(db, id)));
    return statuses.length === 2 && statuses.every((status) => status === 'completed');
  });
  t.same(order, ['long 1', 'short', 'long 2', 'long 3']);
});

t.test('no more runs at once than there are places', async (t) => {
  const goOn = Promise.withResolvers<void>();
  const ids = await Promise.all(['1', '2', '3', '4', '5'].map((organization) => start(db, 'Held', organization)));
  const { loop } = await testWorker(t, database, [pages('Held', 1, { fetch: () => goOn.promise })], { concurrency: 2 });
  await waitFor('both places to be taken', () => loop.inFlight === 2);
  for (let times = 0; times < 3; times += 1) {
    loop.wake();
    const { rows } = await sql`select from tds_workflows where lease is not null`.execute(db);
    t.equal(rows.length, 2);
  }
  goOn.resolve();
  for (const id of ids) await waitFor('the end', async () => (await statusOf(db, id)) === 'completed');
});

t.test('a worker that stops begins no further activity, and what it knows nothing of stays', async (t) => {
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const slow = pages('Slow', 3, {
    async fetch(page) {
      if (page !== 2) return;
      reached.resolve();
      await goOn.promise;
    },
  });
  const [id, unknown] = [await start(db, 'Slow'), await start(db, 'OfANewerRelease')];
  const { loop } = await testWorker(t, database, [slow]);
  await reached.promise;
  const stopped = loop.stop(60_000);
  goOn.resolve();
  await stopped;
  t.match(
    await readWorkflow(db, id),
    { status: 'running', worker_id: null, progress: { pages: 2 } },
    'page 2 was finished',
  );
  t.match(await readWorkflow(db, unknown), { status: 'running', worker_id: null });
});

t.test('a worker that lost its leases breaks its runs off and writes nothing more', async (t) => {
  const reached = Promise.withResolvers<void>();
  let times = 0;
  const hangs = pages('Hangs', 2, {
    fetch(page, run) {
      if (page !== 2 || ++times > 1) return;
      reached.resolve();
      return new Promise((_, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)));
    },
  });
  const id = await start(db, 'Hangs');
  const { loop } = await testWorker(t, database, [hangs]);
  await reached.promise;
  loop.loseLeases();
  await waitFor('the run to go on', async () => (await statusOf(db, id)) === 'completed');
  t.equal(times, 2);
});

t.test('a worker without workflows asks for none', async (t) => {
  const loop = new WorkflowLoop(
    { workerId: '00000000-0000-4000-8000-000000000001', log: silentLog, metrics: new ProcessMetrics() },
    { queue: db, runs: { db, pool }, workflows: new Workflows([]), concurrency: 2 },
  );
  loop.start();
  await loop.stop(0);
  t.equal(loop.inFlight, 0);
});
