import t from 'tap';
import { releaseForgotten, rescue } from '../../src/queue/rescue.ts';
import { MAX_FREE_RELEASES } from '../../src/queue/state.ts';
import { someoneWaitsForALock, testDatabase, waitFor } from '../helper.ts';
import { ALL_OF_EACH, arrive, Claimer, POLICY, registerWorker, SUCCESS, statusOf } from './engine.ts';

const LEASE_SECONDS = 30;
const { pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_sync_logs, tds_workers'));

const rescueAll = () => rescue(pool, POLICY, LEASE_SECONDS);

async function deadWorker(entities: string[]): Promise<{ claimer: Claimer; ids: string[] }> {
  const ids = await arrive(pool, entities);
  const claimer = new Claimer(pool, await registerWorker(pool, -1));
  await claimer.claim({ limit: 1000 });
  return { claimer, ids };
}

t.test('an event that was alone in dead hands is charged and suspected', async (t) => {
  const { ids } = await deadWorker(['a']);
  t.match(await rescueAll(), [{ events: 1 }]);
  t.equal(await statusOf(pool, ids[0] ?? ''), 'pending 1');
  t.equal((await new Claimer(pool).claim({ from: 'suspects' })).length, 1);
});

t.test('neighbours of a crash are suspected and not charged', async (t) => {
  const { ids } = await deadWorker(['a', 'b']);
  await rescueAll();
  for (const id of ids) t.equal(await statusOf(pool, id), 'pending 0');
  t.strictSame(await new Claimer(pool).claim(), [], 'they do not run among others');
});

t.test('a set is rescued, and its former owner fenced', async (t) => {
  const ids = await arrive(pool, ['a', 'b']);
  const claimer = new Claimer(pool, await registerWorker(pool, -1));
  const held = await claimer.claim(ALL_OF_EACH);
  t.match(await rescueAll(), [{ events: 2 }]);
  for (const id of ids) t.equal(await statusOf(pool, id), 'pending 0');
  await t.rejects(claimer.end(held), { name: 'StaleLease' });
  const suspect = await new Claimer(pool).claim({ from: 'suspects' });
  t.equal(suspect[0]?.id, ids[0]);
});

t.test('the third crash of an event that was alone makes a dead letter', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  for (const expected of ['pending 1', 'pending 2', 'dead_letter 3']) {
    const claimer = new Claimer(pool, await registerWorker(pool, -1));
    t.equal((await claimer.claim({ from: expected === 'pending 1' ? 'head' : 'suspects' })).length, 1);
    await rescueAll();
    t.equal(await statusOf(pool, id), expected);
  }
  const { rows } = await pool.query('select error_tag from tds_dead_letter_queue');
  t.equal(rows[0].error_tag, 'ProcessCrash');
});

t.test('an event that finishes while it is being rescued stays finished', async (t) => {
  const { ids } = await deadWorker(['a']);
  const late = await pool.connect();
  // The owner has written its completion and not yet committed when rescue comes to read the row.
  await late.query('begin');
  await late.query(`update tds_sync_queue set status = 'completed', completed_at = now() where id = $1`, [ids[0]]);
  const rescuing = rescueAll();
  await waitFor('rescue to wait for the row', () => someoneWaitsForALock(pool));
  await late.query('commit');
  late.release();
  await rescuing;
  t.equal(await statusOf(pool, ids[0] ?? ''), 'completed 0');
});

t.test('a rescued event is fenced from its former owner', async (t) => {
  await arrive(pool, ['a']);
  const owner = new Claimer(pool, await registerWorker(pool, -1));
  const held = await owner.claim();
  await rescueAll();
  await t.rejects(owner.end(held, SUCCESS), { name: 'StaleLease' });
});

t.test('a dead worker is found behind two thousand events of living ones', async (t) => {
  const living = new Claimer(pool, await registerWorker(pool));
  await arrive(
    pool,
    Array.from({ length: 2000 }, (_, n) => `alive ${n}`),
  );
  t.equal((await living.claim({ limit: 2000 })).length, 2000);
  await deadWorker(['a']);
  t.match(await rescueAll(), [{ events: 1 }], 'in one sweep, and nobody else');
});

t.test('two sweeps at once rescue each event once', async (t) => {
  for (let n = 0; n < 6; n += 1) await deadWorker([`x${n}`, `y${n}`]);
  const rescued = (await Promise.all([rescueAll(), rescueAll(), rescueAll()])).flat();
  t.equal(
    rescued.reduce((sum, { events }) => sum + events, 0),
    12,
  );
  const { rows } = await pool.query('select count(*)::int as n from tds_sync_logs');
  t.equal(rows[0].n, 12);
});

t.test('claims of a worker that was never registered again are given up after a lease', async (t) => {
  await arrive(pool, ['a']);
  await new Claimer(pool).claim();
  t.strictSame(await rescueAll(), [], 'not at once: the worker may be about to register');
  await pool.query(`update tds_queue_leases set claimed_at = now() - interval '1 hour'`);
  t.match(await rescueAll(), [{ events: 1 }]);
});

t.test('a claim whose answer was lost is given back uncharged', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const worker = new Claimer(pool, await registerWorker(pool));
  await worker.claim();
  await pool.query(`update tds_queue_leases set claimed_at = now() - interval '1 minute'`);
  await releaseForgotten(pool, worker.workerId, [], POLICY);
  t.equal(await statusOf(pool, id), 'pending 0');
  t.equal((await new Claimer(pool).claim()).length, 1);
});

t.test('what a worker gives back again and again without an end is charged in the end', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const worker = new Claimer(pool, await registerWorker(pool));
  const rounds = MAX_FREE_RELEASES + POLICY.maxAttempts;
  for (let round = 0; round < rounds; round += 1) {
    await pool.query(`update tds_sync_queue set run_at = now()`);
    await worker.claim();
    await pool.query(`update tds_queue_leases set claimed_at = now() - interval '1 minute'`);
    await releaseForgotten(pool, worker.workerId, [], POLICY);
  }
  t.equal(await statusOf(pool, id), 'dead_letter 3');
});

t.test('what a worker knows that it holds is left to it', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const worker = new Claimer(pool, await registerWorker(pool));
  const [event] = await worker.claim();
  await pool.query(`update tds_queue_leases set claimed_at = now() - interval '1 minute'`);
  await releaseForgotten(pool, worker.workerId, [event?.lease ?? ''], POLICY);
  t.equal(await statusOf(pool, id), 'processing 0');
});
