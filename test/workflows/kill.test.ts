/** Worker processes that are killed, stopped and paused in the middle of a run. */
import t, { type Test } from 'tap';
import { readActivities, readLog, readWorkflow } from '../../src/workflows/inspect.ts';
import { operate } from '../../src/workflows/operate.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { type Program, runProgram } from '../worker/program.ts';
import { createPages, start, statusOf, writtenPages } from './engine.ts';

const { db, url } = await testDatabase(t);
await createPages(db);

const worker = (t: Test, ...args: string[]) =>
  runProgram(t, 'workflows.ts', args, { DATABASE_URL: url, LEASE_SECONDS: '1', DRAIN_SECONDS: '1', NODE_ENV: 'test' });
const fetched = (program: Program) =>
  program.lines().flatMap(({ message, metadata }) => (message === 'fetching' ? [metadata.page] : []));
const inPage = (program: Program, page: number) =>
  waitFor(`page ${page} to be fetched`, () => fetched(program).includes(page), 60_000);
const completed = (id: string) =>
  waitFor('the run to complete', async () => (await statusOf(db, id)) === 'completed', 60_000);

for (const point of ['fetch', 'write']) {
  t.test(`a run whose worker is killed in the ${point} of page 3 goes on at page 3`, async (t) => {
    const id = await start(db, 'FivePages');
    const first = worker(t, point, '3');
    t.match(await first.ended, { signal: 'SIGKILL' });
    t.same(fetched(first), [1, 2, 3]);
    t.same(await writtenPages(db, id), [1, 2], 'what page 3 wrote was not committed');
    t.match(await readWorkflow(db, id), { status: 'running', worker_id: /./, progress: { pages: 2 } });

    const second = worker(t);
    await completed(id);
    t.same(fetched(second), [3, 4, 5]);
    t.same(await writtenPages(db, id), [1, 2, 3, 4, 5]);
    t.match(await readWorkflow(db, id), { result: { sum: 15 }, progress: { pages: 5 } });
    t.match(await readLog(db, id), [{ message: 'started by ann' }, { message: 'taken back from a dead worker' }]);
    const line = second.lines().find(({ message }) => message === 'activity completed');
    t.match(line?.metadata, {
      workflow_name: 'FivePages',
      workflow_id: id,
      activity_name: 'page 3',
      attempt: 1,
      pages: 3,
    });
    process.kill(second.pid, 'SIGTERM');
    t.match(await second.ended, { code: 0 });
  });
}

t.test('a worker that is stopped gives its run back, and the next one goes on', async (t) => {
  const id = await start(db, 'FivePages');
  const first = worker(t, 'hang', '3');
  await inPage(first, 3);
  process.kill(first.pid, 'SIGTERM');
  t.match(await first.ended, { code: 0 });
  t.match(await readWorkflow(db, id), { status: 'running', worker_id: null, waits_for: 'A free worker.' });
  t.match((await readActivities(db, id)).activities[2], { name: 'page 3', status: 'interrupted' });
  const second = worker(t);
  await completed(id);
  t.same(fetched(second), [3, 4, 5]);
  t.same(await writtenPages(db, id), [1, 2, 3, 4, 5]);
  process.kill(second.pid, 'SIGTERM');
  await second.ended;
});

t.test('a pause breaks off the page that is being fetched, and resuming repeats only that one', async (t) => {
  const id = await start(db, 'FivePages');
  const first = worker(t, 'hang', '3');
  await inPage(first, 3);
  const deed = (what: 'pause' | 'resume' | 'terminate') =>
    db.transaction().execute((trx) => operate(trx, id, what, 'bob'));
  t.match(await deed('pause'), { outcome: 'done' });
  await waitFor('the worker to let go', async () => (await readWorkflow(db, id))?.worker_id === null, 60_000);
  t.match(await readWorkflow(db, id), { status: 'paused', progress: { pages: 2 } });
  t.match(await deed('resume'), { outcome: 'done' });
  await waitFor('page 3 to be fetched again', () => fetched(first).length === 4, 60_000);
  t.same(fetched(first), [1, 2, 3, 3]);
  t.match(await deed('terminate'), { outcome: 'done' });
  await waitFor('the worker to let go', async () => (await readWorkflow(db, id))?.worker_id === null, 60_000);
  t.match(await readWorkflow(db, id), { status: 'terminated', result: null });
  t.same(await writtenPages(db, id), [1, 2]);
});
