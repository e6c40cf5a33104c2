import { sql } from 'kysely';
import t from 'tap';
import { TaggedError } from '../../src/errors.ts';
import { readActivities, readLog, readWorkflow } from '../../src/workflows/inspect.ts';
import { operate } from '../../src/workflows/operate.ts';
import { ActivitiesFailed, Postponed, type Run } from '../../src/workflows/workflow.ts';
import { fromFetch } from '../../src/zoho/client/errors.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { createPages, pages, start, statusOf, testWorker, workflow, writtenPages } from './engine.ts';

const database = await testDatabase(t);
const { db } = database;
await createPages(db);

const until = (id: string, status: string) =>
  waitFor(`${status} of ${id}`, async () => (await statusOf(db, id)) === status);

t.test('a run does its activities in order and completes with its result and progress', async (t) => {
  const id = await start(db, 'Plain');
  await testWorker(t, database, [pages('Plain', 3)]);
  await until(id, 'completed');
  t.match(await readWorkflow(db, id), { result: { sum: 6 }, progress: { pages: 3 }, worker_id: null, waits_for: null });
  const { activities, total } = await readActivities(db, id);
  t.equal(total, 3);
  t.match(activities, [
    { name: 'page 1', status: 'completed', attempt: 1, output: 1, error: null },
    { name: 'page 2', output: 2 },
    { name: 'page 3', output: 3 },
  ]);
});

t.test('an attempt that fails leaves nothing behind and is done again', async (t) => {
  const failing = pages('Flaky', 2, {
    write(page, run) {
      if (page === 2 && run.progress.calls < 0) return;
      if (page === 2 && attempts.push(page) < 3) throw new TaggedError('NetworkError', 'gone');
    },
  });
  const attempts: number[] = [];
  const id = await start(db, 'Flaky');
  await testWorker(t, database, [failing]);
  await until(id, 'completed');
  t.same(await writtenPages(db, id), [1, 2]);
  t.match(await readWorkflow(db, id), { progress: { pages: 2 } }, 'failed attempts made no progress');
  t.match((await readActivities(db, id)).activities[1], { attempt: 3, status: 'completed', error: null });
  t.match(await readLog(db, id), [
    { message: 'started by ann' },
    { activity_name: 'page 2', error_tag: 'NetworkError', message: /attempt 1 failed, next attempt in 0 s: gone/ },
    { message: /attempt 2 failed/ },
  ]);
});

t.test('a transient failure is tried five times more, a permanent one never', async (t) => {
  const attempts = { NetworkError: 0, ValidationError: 0 };
  const failing = (tag: keyof typeof attempts) =>
    pages(tag, 1, {
      fetch() {
        attempts[tag] += 1;
        throw new TaggedError(tag, 'refused', {
          cause: Object.assign(new Error('400'), { status: 400, body: '{"code":4}' }),
        });
      },
    });
  const ids = await Promise.all([start(db, 'NetworkError'), start(db, 'ValidationError')]);
  await testWorker(t, database, [failing('NetworkError'), failing('ValidationError')]);
  for (const id of ids) await until(id, 'failed');
  t.same(attempts, { NetworkError: 6, ValidationError: 1 });
  const { rows } = await sql`
    select id, name, status, payload, created_at, updated_at, result ->> 'message' as error_message
    from tds_workflows where status = 'failed' order by updated_at desc`.execute(db);
  t.match(rows, [{ error_message: 'refused' }, { error_message: 'refused' }], "the guide's SQL");
  const { result } = (await readWorkflow(db, ids[1])) ?? {};
  t.match(result, { message: 'refused', tag: 'ValidationError', cause: [{ message: 'refused' }, { status: 400 }] });
  t.match((await readActivities(db, ids[1])).activities, [{ status: 'failed', error: { tag: 'ValidationError' } }]);
});

t.test('a connection to Zoho that is lost is a failed attempt, not a database that is away', async (t) => {
  const lost = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' });
  const unreachable = pages('Unreachable', 1, {
    fetch() {
      throw fromFetch(new TypeError('fetch failed', { cause: lost }), '/invoices', 30_000);
    },
  });
  const id = await start(db, 'Unreachable');
  await testWorker(t, database, [unreachable]);
  await until(id, 'failed');
  const message = '/invoices could not be reached: ECONNRESET.';
  t.match((await readWorkflow(db, id))?.result, { message, tag: 'NetworkError' });
  t.match((await readActivities(db, id)).activities, [
    { status: 'failed', attempt: 6, error: { tag: 'NetworkError' } },
  ]);
});

t.test('an activity that waits for its next attempt says when that comes', async (t) => {
  const patient = pages('Patient', 1, {
    fetch() {
      throw new TaggedError('NetworkError', 'gone', { retryAfterSeconds: 60 });
    },
  });
  const id = await start(db, 'Patient');
  const { loop } = await testWorker(t, database, [patient]);
  const activity = () =>
    db
      .selectFrom('tds_workflow_activities')
      .select(['status', 'error', sql<number>`extract(epoch from next_attempt_at - now())::float8`.as('seconds')])
      .where('workflow_id', '=', id)
      .executeTakeFirst();
  await waitFor('a failed attempt', async () => (await activity())?.status === 'retry');
  const { seconds, error } = (await activity()) ?? {};
  t.ok(seconds && seconds > 30 && seconds <= 60, `in ${seconds} s`);
  t.match(error, { message: 'gone', stack: /execute\.test/ });
  t.match((await readLog(db, id)).at(-1), { message: 'attempt 1 failed, next attempt in 60 s: gone' });
  await db.transaction().execute((trx) => operate(trx, id, 'pause', 'bob'));
  loop.wake();
  await waitFor('the run given back', async () => (await activity())?.status === 'interrupted');
  t.equal((await activity())?.seconds, null);
});

t.test('a retried run goes on from the last activity that was completed', async (t) => {
  let broken = true;
  const fetched: number[] = [];
  const mended = pages('Mended', 3, {
    fetch(page) {
      fetched.push(page);
      if (page === 2 && broken) throw new TaggedError('ConflictError', 'no');
    },
  });
  const id = await start(db, 'Mended');
  await testWorker(t, database, [mended]);
  await until(id, 'failed');
  broken = false;
  t.match(await db.transaction().execute((trx) => operate(trx, id, 'retry', 'bob')), { outcome: 'done' });
  t.match(await readWorkflow(db, id), { result: null, status: 'running' });
  await until(id, 'completed');
  t.same(fetched, [1, 2, 2, 3]);
  t.same(await writtenPages(db, id), [1, 2, 3]);
});

t.test('an activity that its run failed for is done again by a retry, though it was completed', async (t) => {
  let refused = true;
  const fetched: string[] = [];
  const ask = (run: Run, name: string) =>
    run.activity(name, {
      async fetch() {
        fetched.push(name);
        return refused;
      },
      write: async (_trx, answer) => answer,
    });
  const refusable = workflow('Refusable', async (run) => {
    await ask(run, 'first');
    const answer = await ask(run, 'second');
    const cause = Object.assign(new Error('no such filter'), { status: 400, body: '{"code":2}' });
    if (answer) throw new ActivitiesFailed('refused', { activities: ['second'], cause });
    return null;
  });
  const id = await start(db, 'Refusable');
  await testWorker(t, database, [refusable]);
  await until(id, 'failed');
  const cause = [{ message: 'refused' }, { status: 400, body: '{"code":2}' }];
  t.match((await readWorkflow(db, id))?.result, { message: 'refused', tag: 'ValidationError', cause });
  const { activities } = await readActivities(db, id);
  t.match(activities, [{ status: 'completed' }, { status: 'failed', output: null, error: { cause } }]);
  refused = false;
  t.match(await db.transaction().execute((trx) => operate(trx, id, 'retry', 'bob')), { outcome: 'done' });
  await until(id, 'completed');
  t.same(fetched, ['first', 'second', 'second']);
});

t.test('a run that has to wait is given back with its reason, at no cost', async (t) => {
  let waits = true;
  const run = async (run: Run) =>
    run.activity('ask', {
      async fetch() {
        if (waits) throw new Postponed(3600, "Today's calls are used up.");
      },
      write: async () => 'asked',
    });
  const limited = workflow('Limited', (run) =>
    run.activity('ask', {
      async fetch() {
        if (waits) throw new TaggedError('RateLimitError', 'slow down', { retryAfterSeconds: 1800 });
      },
      write: async () => 'asked',
    }),
  );
  const ids = [await start(db, 'Waiting'), await start(db, 'Limited')] as const;
  const { loop } = await testWorker(t, database, [workflow('Waiting', run), limited]);
  await waitFor('both to wait', async () => {
    const views = await Promise.all(ids.map((id) => readWorkflow(db, id)));
    return views[0]?.waits_for?.startsWith('Today') && views[1]?.waits_for === 'slow down';
  });
  await waitFor('the worker to be free', () => loop.inFlight === 0);
  for (const id of ids) {
    t.match(await readWorkflow(db, id), { status: 'running', worker_id: null });
    t.match((await readActivities(db, id)).activities, [{ status: 'interrupted', error: null }]);
  }
  waits = false;
  await sql`update tds_workflows set run_at = now() where id in (${ids[0]}, ${ids[1]})`.execute(db);
  for (const id of ids) await until(id, 'completed');
});

t.test('a result that cannot be stored fails the run, and so does a name that is used twice', async (t) => {
  const large = workflow('Large', async () => 'x'.repeat(2_000_000));
  const twice = workflow('Twice', async (run) => {
    for (const _ of [1, 2]) await run.activity('same', { fetch: async () => null, write: async () => null });
    return null;
  });
  const escapes = workflow('Escapes', async (run) => {
    run.activity('one', { fetch: async () => null, write: async () => null }).catch(() => {});
    return run.activity('two', { fetch: async () => null, write: async () => null });
  });
  const ids = [await start(db, 'Large'), await start(db, 'Twice'), await start(db, 'Escapes')];
  await testWorker(t, database, [large, twice, escapes]);
  for (const id of ids) await until(id, 'failed');
  t.match(await readWorkflow(db, ids[0] as string), { result: { tag: 'ValidationError' } });
  t.match(await readWorkflow(db, ids[1] as string), { result: { message: /same name/ } });
  t.match(await readWorkflow(db, ids[2] as string), { result: { message: /one at a time/ } });
});
