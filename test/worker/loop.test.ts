import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import t, { type Test } from 'tap';
import type { QueuedEvent } from '../../src/handlers/handler.ts';
import { rescue } from '../../src/queue/rescue.ts';
import type { WorkerContext } from '../../src/worker/context.ts';
import { Loop } from '../../src/worker/loop.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { arrive, Claimer, POLICY, registerWorker, statusOf } from '../queue/engine.ts';
import { testContext } from './context.ts';

const { pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_sync_logs'));

async function completed(): Promise<number> {
  const { rows } = await pool.query(`select count(*)::int as n from tds_sync_queue where status = 'completed'`);
  return rows[0].n;
}

type Running = { concurrency?: number; pollMs?: number; from?: 'head' | 'suspects' };

async function running(t: Test, worker: WorkerContext, options: Running, work: (loop: Loop) => Promise<void>) {
  const loop = new Loop(worker, { concurrency: 4, pollMs: 100, ...options });
  loop.start();
  await work(loop).finally(() => loop.stop(100));
  t.equal(loop.inFlight, 0, 'nothing stays in hand');
}

t.test('no more events run at once than there are slots', async (t) => {
  let now = 0;
  let most = 0;
  const handle = async () => {
    now += 1;
    most = Math.max(most, now);
    await sleep(5);
    now -= 1;
  };
  await arrive(
    pool,
    Array.from({ length: 40 }, (_, n) => `e${n}`),
  );
  await running(t, testContext(pool, [{ handle }]), {}, async () => {
    await waitFor('all to be done', async () => (await completed()) === 40);
  });
  t.equal(most, 4);
});

t.test('a busy entity behind newer events goes on as fast as its events end', async (t) => {
  await arrive(
    pool,
    Array.from({ length: 30 }, () => 'busy'),
  );
  await arrive(pool, ['x', 'y', 'z']);
  // Whatever waited for a poll would wait for an hour.
  await running(t, testContext(pool, [{ handle: () => sleep(2) }]), { pollMs: 3_600_000 }, async () => {
    await waitFor('all to be done', async () => (await completed()) === 33, 60_000);
  });
});

/** Events that were in hand together when their worker died. */
async function suspects(count: number): Promise<void> {
  await arrive(
    pool,
    Array.from({ length: count }, (_, n) => `e${n}`),
  );
  await new Claimer(pool, await registerWorker(pool, -1)).claim({ limit: count });
  await rescue(pool, POLICY, 30);
}

t.test('of suspects one is in hand at first, and twice as many each time that the process survives', async (t) => {
  await suspects(12);
  const sizes: number[] = [];
  const worker = testContext(pool, [{ handleBatch: async (events) => void sizes.push(events.length) }]);
  const done = async () => void (await waitFor('all to be done', async () => (await completed()) === 12));
  await running(t, worker, { from: 'suspects' }, done);
  t.strictSame(sizes, [1, 2, 4, 5]);
});

t.test('suspects that run each for itself fill at most the slots', async (t) => {
  await suspects(12);
  const lastOfTurn = [1, 3, 3, 7, 7, 7, 7, 11, 11, 11, 11, 12];
  const endedBefore: number[] = [];
  let begun = 0;
  let ended = 0;
  const handle = async () => {
    endedBefore.push(ended);
    begun += 1;
    const last = lastOfTurn[begun - 1] ?? 0;
    await waitFor('all of this turn to have begun', () => begun >= last);
    ended += 1;
  };
  const done = async () => void (await waitFor('all to be done', async () => (await completed()) === 12));
  await running(t, testContext(pool, [{ handle }]), { from: 'suspects' }, done);
  t.strictSame(endedBefore, [0, 1, 1, 3, 3, 3, 3, 7, 7, 7, 7, 11]);
});

t.test('what is not done by the deadline is given back uncharged', async (t) => {
  const [long = ''] = await arrive(pool, ['a']);
  const handle = (_: QueuedEvent, { signal }: { signal: AbortSignal }) => sleep(600_000, undefined, { signal });
  await running(t, testContext(pool, [{ handle }]), { concurrency: 2 }, async (loop) => {
    await waitFor('the event to be in hand', () => loop.inFlight === 1);
  });
  t.equal(await statusOf(pool, long), 'pending 0');
  const { rows } = await pool.query('select count(*)::int as n from tds_queue_claims');
  t.equal(rows[0].n, 0, 'and no claim stays behind');
});

t.test('a lost lease breaks off the work, whose effects vanish', async (t) => {
  await pool.query('create table if not exists marks (id uuid)');
  const [id = ''] = await arrive(pool, ['a']);
  let calls = 0;
  const worker = testContext(pool, [
    {
      async handle(event, { trx, signal }) {
        await sql`insert into marks values (${event.id})`.execute(trx);
        calls += 1;
        if (calls === 1) await sleep(600_000, undefined, { signal });
      },
    },
  ]);
  await running(t, worker, { concurrency: 2 }, async (loop) => {
    await waitFor('the handler to have written', () => calls === 1);
    await pool.query(`update tds_sync_queue set status = 'pending', started_at = null where id = $1`, [id]);
    loop.loseLeases();
    await waitFor('the second run', async () => (await completed()) === 1);
  });
  const { rowCount } = await pool.query('select from marks');
  t.equal(rowCount, 1);
  t.equal(await statusOf(pool, id), 'completed 1');
});
