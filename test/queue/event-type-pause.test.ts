/** Pauses by event type: what waits, what goes on, and that the order within an entity holds. */
import t from 'tap';
import { oldestPendingAgeSeconds, queueStats } from '../../src/queue/inspect.ts';
import { pauseEventType, pauseState, resumeEventType } from '../../src/queue/pause.ts';
import { countPending, processPending } from '../../src/queue/process-pending.ts';
import { promote } from '../../src/queue/promote.ts';
import { Random } from '../faults/random.ts';
import { testDatabase } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { ALL_OF_EACH, arrive, Claimer } from './engine.ts';

const { db, pool } = await testDatabase(t);

t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_event_type_pauses'));

const pause = (type: string) => db.transaction().execute((trx) => pauseEventType(trx, type, 'ann', 'wrong price'));
const resume = (type: string) => db.transaction().execute((trx) => resumeEventType(trx, type));
const bill = { module: 'bill', eventType: 'bill.updated' };
const deleted = { action: 'deleted', eventType: 'invoice.deleted' };

t.test('a paused type waits with the later events of its entities, and everything else goes on', async (t) => {
  const [before = ''] = await arrive(pool, ['1'], deleted);
  const [paused = '', elsewhere = ''] = await arrive(pool, ['1', '2']);
  const [later = ''] = await arrive(pool, ['1'], deleted);
  await pause('invoice.updated');
  const [arrived = ''] = await arrive(pool, ['3']);
  const [behind = ''] = await arrive(pool, ['3'], deleted);
  const [other = ''] = await arrive(pool, ['1'], bill);
  t.same(await disagreements(pool), []);

  const claimer = new Claimer(pool);
  const first = await claimer.claim(ALL_OF_EACH);
  t.same(
    first.map(({ id }) => id),
    [before, other],
  );
  await claimer.end(first);
  await promote(pool);
  t.same(await claimer.claim(ALL_OF_EACH), [], 'nothing of the type, and nothing behind it');

  await resume('invoice.updated');
  t.same(await disagreements(pool), []);
  const rest = await claimer.claim(ALL_OF_EACH);
  t.same(
    rest.map(({ id }) => id),
    [paused, elsewhere, later, arrived, behind],
    'in order of arrival',
  );
});

t.test('a module is paused as a whole, and what two pauses hold is let go by the second resume', async (t) => {
  await arrive(pool, ['1']);
  await arrive(pool, ['2'], deleted);
  await pause('invoice.*');
  await pause('invoice.updated');
  const [id = ''] = await arrive(pool, ['1'], bill);
  // A new one each time: a low-water mark moves back within a second.
  t.match(await new Claimer(pool).claim(), [{ id }]);
  await resume('invoice.*');
  t.match(await new Claimer(pool).claim(), [{ eventType: 'invoice.deleted' }]);
  t.same(await new Claimer(pool).claim(), []);
  await resume('invoice.updated');
  t.match(await new Claimer(pool).claim(), [{ eventType: 'invoice.updated' }]);
});

t.test('what is in hand finishes, and a second pause changes nothing', async (t) => {
  await arrive(pool, ['1']);
  const claimer = new Claimer(pool);
  const events = await claimer.claim();
  t.equal(await pause('invoice.*'), 'paused');
  t.equal(await pause('invoice.*'), 'already');
  await claimer.end(events);
  t.match(await queueStats(db), { completed: 1, pending: 0 });
  t.match(await pauseState(db), { paused: false, event_types: [{ event_type: 'invoice.*', paused_by: 'ann' }] });
  t.equal(await resume('invoice.*'), 'resumed');
  t.equal(await resume('invoice.*'), 'already');
});

t.test('held events count as pending, and their age counts', async (t) => {
  await pause('invoice.*');
  await arrive(pool, ['1']);
  await pool.query(`update tds_sync_queue set queued_at = now() - interval '1 hour'`);
  t.match(await queueStats(db), { pending: 1 });
  t.ok((await oldestPendingAgeSeconds(db)) >= 3600);
});

t.test('what waits for its next attempt is left alone, and so is a suspect', async (t) => {
  await arrive(pool, ['1', '2']);
  await pool.query(`update tds_sync_queue set status = 'retry', attempt_count = 1, run_at = now() + interval '1 hour',
    suspect = entity_id = '2'`);
  await pause('invoice.*');
  t.equal(await countPending(pool), 0);
  t.equal(await processPending(pool), 0);
  await pool.query(`update tds_sync_queue set run_at = now()`);
  t.equal(await promote(pool), 0, 'nobody reads it again and again');
  const claimer = new Claimer(pool);
  t.same(await claimer.claim({ from: 'suspects' }), []);
  await resume('invoice.*');
  t.equal((await claimer.claim({ from: 'suspects' })).length, 1);
  t.equal((await claimer.claim()).length, 1);
});

t.test('statements typed in psql hold and let go the same way', async (t) => {
  await arrive(pool, ['1']);
  await pool.query(
    `insert into tds_event_type_pauses (event_type, paused_by, reason) values ('invoice.*', 'bob', 'x')`,
  );
  t.same(await new Claimer(pool).claim(), []);
  await pool.query(`update tds_event_type_pauses set event_type = 'bill.*'`);
  t.equal((await new Claimer(pool).claim()).length, 1);
  await arrive(pool, ['1'], bill);
  await pool.query('truncate tds_event_type_pauses');
  t.same(await disagreements(pool), []);
  t.match(await new Claimer(pool).claim(), [{ eventType: 'bill.updated' }]);
  await t.rejects(
    pool.query(`insert into tds_event_type_pauses (event_type, paused_by, reason) values ('*', 'bob', 'x')`),
    /check constraint/,
  );
});

t.test('whatever arrives, is claimed and ends while types are paused and resumed, all agree in the end', async (t) => {
  const random = new Random(25);
  const claimer = new Claimer(pool);
  let arrivals = 0;
  for (let round = 0; round < 25; round += 1) {
    const type = random.pick(['invoice.*', 'invoice.updated', 'bill.*']);
    const change = random.int(0, 1) === 0 ? pause : resume;
    const arriving = Array.from({ length: 4 }, () => {
      arrivals += 1;
      return arrive(pool, [`e${random.int(1, 5)}`], random.pick<object>([{}, bill, deleted]));
    });
    const working = claimer.claim(ALL_OF_EACH).then((events) => (events.length > 0 ? claimer.end(events) : undefined));
    await Promise.all([...arriving, change(type), working]);
    const wrong = await disagreements(pool);
    if (wrong.length > 0) return t.fail(`round ${round}, ${type}`, { wrong });
  }
  await pool.query('delete from tds_event_type_pauses');
  for (let events = [null]; events.length > 0; ) {
    const claimed = await claimer.claim(ALL_OF_EACH);
    if (claimed.length > 0) await claimer.end(claimed);
    events = claimed as never[];
  }
  t.match(await queueStats(db), { completed: arrivals, pending: 0 });
});
