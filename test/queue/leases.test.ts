/** A lease ends with the last of its events, also when two of them end at the same moment. */
import t from 'tap';
import type { ClaimedEvent } from '../../src/queue/event.ts';
import { finish } from '../../src/queue/finish.ts';
import { releaseForgotten, rescue } from '../../src/queue/rescue.ts';
import { transition } from '../../src/queue/state.ts';
import { testDatabase } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { arrive, Claimer, POLICY, registerWorker, SUCCESS } from './engine.ts';

const { pool } = await testDatabase(t);

/** Each in a transaction of its own, of which none sees the other's end. */
async function endAtTheSameMoment(workerId: string, events: ClaimedEvent[]): Promise<void> {
  const clients = await Promise.all(events.map(() => pool.connect()));
  for (const client of clients) await client.query('begin');
  for (const [n, event] of events.entries())
    await finish(clients[n] as (typeof clients)[0], workerId, [
      { event, transition: transition(event, SUCCESS, POLICY), durationMs: 1 },
    ]);
  for (const client of clients) {
    await client.query('commit');
    client.release();
  }
}

t.test('the sweep of the worker ends a lease whose last events ended together', async (t) => {
  const claimer = new Claimer(pool, await registerWorker(pool));
  await arrive(pool, ['a', 'b']);
  await endAtTheSameMoment(claimer.workerId, await claimer.claim());
  await releaseForgotten(pool, claimer.workerId, [], POLICY);
  t.same(await disagreements(pool), []);
});

t.test('the rescue of a dead worker ends it as well, and finds the worker no second time', async (t) => {
  const claimer = new Claimer(pool, await registerWorker(pool, -60));
  await arrive(pool, ['c', 'd']);
  await endAtTheSameMoment(claimer.workerId, await claimer.claim());
  await pool.query(`update tds_queue_leases set claimed_at = now() - interval '1 hour'`);
  t.same(await rescue(pool, POLICY, 30), [{ workerId: claimer.workerId, events: 0 }]);
  t.same(await disagreements(pool), []);
  t.same(await rescue(pool, POLICY, 30), []);
});
