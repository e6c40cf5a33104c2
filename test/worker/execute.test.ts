import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import pg from 'pg';
import t from 'tap';
import { TaggedError } from '../../src/errors.ts';
import type { HandlerContext } from '../../src/handlers/handler.ts';
import type { WorkerContext } from '../../src/worker/context.ts';
import { executeOne, executeSet } from '../../src/worker/execute.ts';
import { leaked } from '../../src/worker/run-handlers.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { ALL_OF_EACH, arrive, Claimer, statusOf } from '../queue/engine.ts';
import { testContext } from './context.ts';

const { pool } = await testDatabase(t);
await pool.query('create table marks (name text)');
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_sync_logs, tds_dead_letter_queue, marks'));

const never = new AbortController().signal;
const mark = (name: string, { trx }: HandlerContext) => sql`insert into marks values (${name})`.execute(trx);

async function marks(): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>('select name from marks order by name');
  return rows.map((row) => row.name);
}

/** Claims one event for the worker and executes it. Returns its status and what was charged. */
async function attempt(worker: WorkerContext, entity = 'a', signal = never): Promise<string> {
  const [id = ''] = await arrive(pool, [entity]);
  const [event] = await new Claimer(pool, worker.workerId).claim({ withPayload: true });
  if (event) await executeOne(worker, event, signal);
  return statusOf(pool, id);
}

t.test('all handlers of an event share one transaction', async (t) => {
  const worker = testContext(pool, [
    { handle: (_, context) => mark('first', context) },
    { handle: () => Promise.reject(new Error('the second fails')) },
  ]);
  t.equal(await attempt(worker), 'retry 1');
  t.strictSame(await marks(), [], 'what the first wrote vanished');
});

t.test('no connection is held while a handler waits before its first write', async (t) => {
  let finish = () => {};
  const worker = testContext(pool, [{ handle: () => new Promise<void>((resolve) => (finish = resolve)) }]);
  const done = attempt(worker);
  await waitFor('the handler to wait', async () => {
    const { rows } = await pool.query(`select from tds_sync_queue where status = 'processing'`);
    return rows.length === 1;
  });
  const { rows } = await pool.query(
    `select from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`,
  );
  t.equal(rows.length, 0);
  finish();
  t.equal(await done, 'completed 1');
});

t.test('a handler that overruns its time is charged, and its late writes are refused', async (t) => {
  let late: unknown;
  const worker = testContext(pool, [
    {
      timeoutMs: 50,
      async handle(_, context) {
        // On a slow machine even this one comes too late.
        await mark('in time', context).catch(() => {});
        await sleep(120);
        late = await mark('late', context).catch((error) => error);
      },
    },
  ]);
  t.equal(await attempt(worker), 'retry 1');
  await waitFor('the late write', () => late !== undefined);
  t.match(late, { name: 'TransactionOver' });
  t.strictSame(await marks(), []);
});

t.test('a set handler that overruns its time cannot write any more either', async (t) => {
  let late: unknown;
  const worker = testContext(pool, [
    {
      timeoutMs: 50,
      async handleBatch(_, context) {
        await sleep(120);
        late = await mark('late', context).catch((error) => error);
        return undefined;
      },
    },
  ]);
  const [id = ''] = await arrive(pool, ['a']);
  const events = await new Claimer(pool, worker.workerId).claim();
  await executeSet(worker, events, never);
  await waitFor('the late write', () => late !== undefined);
  t.match(late, { name: 'TransactionOver' });
  t.strictSame([await statusOf(pool, id), await marks()], ['retry 1', []]);
});

t.test('a handler cannot begin a transaction of its own', async (t) => {
  const handle = (_: unknown, { trx }: HandlerContext) => {
    // Typed as never; a handler in JavaScript can call it all the same.
    const begin = trx.transaction() as unknown as { execute(work: (own: typeof trx) => unknown): Promise<unknown> };
    return begin.execute((own) => sql`insert into marks values ('own')`.execute(own));
  };
  t.equal(await attempt(testContext(pool, [{ handle }])), 'retry 1');
  t.strictSame(await marks(), []);
});

t.test('a handler cannot commit', async (t) => {
  const worker = testContext(pool, [
    {
      async handle(_, context) {
        await mark('own', context);
        await sql` COMMIT`.execute(context.trx);
      },
    },
  ]);
  t.equal(await attempt(worker), 'retry 1');
  t.strictSame(await marks(), []);
});

t.test('a handler cannot commit behind an empty statement', async (t) => {
  const worker = testContext(pool, [
    {
      async handle(_, context) {
        await mark('own', context);
        await sql.raw('; /* empty */ ; commit').execute(context.trx);
      },
    },
  ]);
  t.equal(await attempt(worker), 'retry 1');
  t.strictSame(await marks(), []);
});

t.test('a handler may use savepoints', async (t) => {
  const worker = testContext(pool, [
    {
      async handle(_, context) {
        await sql`savepoint before`.execute(context.trx);
        await mark('undone', context);
        await sql`rollback to savepoint before`.execute(context.trx);
        await mark('kept', context);
      },
    },
  ]);
  t.equal(await attempt(worker), 'completed 1');
  t.strictSame(await marks(), ['kept']);
});

t.test('a handler that ignores its time-out counts as leaked until it ends', async (t) => {
  const worker = testContext(pool, [{ timeoutMs: 30, handle: () => sleep(300) }]);
  t.equal(await attempt(worker), 'retry 1');
  t.equal(leaked.size, 1);
  await waitFor('the leak to end', () => leaked.size === 0);
});

t.test('a handler that heeds its signal leaves nothing behind', async (t) => {
  const worker = testContext(pool, [
    { timeoutMs: 30, handle: (_, { signal }) => sleep(60_000, undefined, { signal }) },
  ]);
  t.equal(await attempt(worker), 'retry 1');
  await waitFor('nothing to be leaked', () => leaked.size === 0);
});

t.test('a permanent error is dead at once, a transient one waits for another attempt', async (t) => {
  const permanent = testContext(pool, [{ handle: () => Promise.reject(new TaggedError('ValidationError', 'no')) }]);
  t.equal(await attempt(permanent), 'dead_letter 1');
  const transient = testContext(pool, [{ handle: () => Promise.reject(new TaggedError('NetworkError', 'gone')) }]);
  t.equal(await attempt(transient, 'b'), 'retry 1');
});

t.test('waiting for a rate limit costs no attempt', async (t) => {
  const worker = testContext(pool, [
    { handle: () => Promise.reject(new TaggedError('RateLimitError', 'later', { retryAfterSeconds: 60 })) },
  ]);
  t.equal(await attempt(worker), 'pending 0');
});

t.test('an error text that PostgreSQL cannot store does not stop the end of an event', async (t) => {
  const worker = testContext(pool, [{ handle: () => Promise.reject(new Error('bad \0 and \ud800')) }]);
  t.equal(await attempt(worker), 'retry 1');
});

for (const thrown of [undefined, null, 'text', 0, { odd: true }]) {
  t.test(`a handler that throws ${JSON.stringify(thrown)} fails its attempt like any other`, async (t) => {
    t.equal(await attempt(testContext(pool, [{ handle: () => Promise.reject(thrown) }])), 'retry 1');
  });
}

t.test('a handler that throws what cannot even be asked for its class fails its attempt', async (t) => {
  const { proxy, revoke } = Proxy.revocable({}, {});
  revoke();
  const handle = async () => {
    throw proxy;
  };
  t.equal(await attempt(testContext(pool, [{ handle }])), 'retry 1');
});

t.test('a handler that throws before its first await fails its attempt', async (t) => {
  const handle = () => {
    throw new Error('at once');
  };
  t.equal(await attempt(testContext(pool, [{ handle }])), 'retry 1');
});

t.test('a serialization failure is tried again at once and not charged', async (t) => {
  let calls = 0;
  const worker = testContext(pool, [
    {
      async handle(_, context) {
        calls += 1;
        await mark('once', context);
        if (calls < 3)
          await sql`do $$ begin raise exception 'made up' using errcode = '40001'; end $$`.execute(context.trx);
      },
    },
  ]);
  t.equal(await attempt(worker), 'completed 1');
  t.strictSame([calls, await marks()], [3, ['once']]);
});

t.test('a connection lost in mid-transaction is not charged, nothing half done', async (t) => {
  const worker = testContext(pool, [
    {
      async handle(_, context) {
        await mark('half', context);
        await sql`select pg_terminate_backend(pg_backend_pid())`.execute(context.trx);
      },
    },
  ]);
  t.equal(await attempt(worker), 'pending 0');
  t.strictSame(await marks(), []);
});

t.test('a set that fails comes again in halves until the culprit is alone', async (t) => {
  const ids = await arrive(
    pool,
    Array.from({ length: 16 }, (_, n) => `e${n}`),
  );
  const culprit = ids[11];
  const worker = testContext(pool, [
    {
      async handleBatch(events, context) {
        for (const event of events) await mark(event.entityId ?? '', context);
        if (events.some((event) => event.id === culprit)) throw new TaggedError('ValidationError', 'that one');
        return undefined;
      },
    },
  ]);
  await executeSet(worker, await new Claimer(pool, worker.workerId).claim({ ...ALL_OF_EACH, limit: 50 }), never);
  for (const id of ids) t.equal(await statusOf(pool, id), id === culprit ? 'dead_letter 1' : 'completed 1');
  t.equal((await marks()).length, 15, 'each of the others once');
  const { rows } = await pool.query('select count(*)::int as n from tds_queue_claims');
  t.equal(rows[0].n, 0);
});

t.test('a set whose handler throws leaves its connection to the halves, and nothing in its session', async (t) => {
  const seen: { pid: number; timezone: string }[] = [];
  const worker = testContext(pool, [
    {
      async handleBatch(events, { trx }) {
        const look = sql<{ pid: number; timezone: string }>`
          select pg_backend_pid() as pid, current_setting('timezone') as timezone, set_config('timezone', 'Asia/Tokyo', false)`;
        seen.push(...(await look.execute(trx)).rows);
        if (events.length > 1) throw new Error('fails together');
      },
    },
  ]);
  const handlerPool = new pg.Pool({ ...pool.options, max: 1 });
  t.teardown(() => handlerPool.end());
  await arrive(pool, ['a', 'b']);
  const events = await new Claimer(pool, worker.workerId).claim({ ...ALL_OF_EACH, withPayload: true });
  await executeSet({ ...worker, handlerPool }, events, never);
  t.equal(seen.length, 3, 'together, then each half');
  t.equal(new Set(seen.map(({ pid }) => pid)).size, 1);
  t.notOk(seen.some(({ timezone }) => timezone === 'Asia/Tokyo'));
});

t.test('an interrupted event is given back uncharged', async (t) => {
  const controller = new AbortController();
  const { Interrupted } = await import('../../src/worker/context.ts');
  const worker = testContext(pool, [{ handle: () => new Promise(() => undefined) }]);
  setTimeout(() => controller.abort(new Interrupted('shutdown')), 50);
  t.equal(await attempt(worker, 'a', controller.signal), 'pending 0');
});
