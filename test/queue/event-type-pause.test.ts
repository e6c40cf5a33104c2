/** Pauses by event type: what waits, what goes on, and that the order within an entity holds. */
import t from 'tap';
import { oldestPendingAgeSeconds, queueStats } from '../../src/queue/inspect.ts';
import { pauseEventType, pauseState, resumeEventType, settlePauses } from '../../src/queue/pause.ts';
import { countPending, processPending } from '../../src/queue/process-pending.ts';
import { promote } from '../../src/queue/promote.ts';
import { Random } from '../faults/random.ts';
import { testDatabase, waitFor } from '../helper.ts';
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

/** Three thousand events of a type, which is three batches and the look that finds no more. */
async function backlog(): Promise<void> {
  await arrive(
    pool,
    Array.from({ length: 3000 }, (_, n) => `e${n % 1500}`),
  );
}

const batch = async () => (await pool.query('select tds_settle_pauses() as settled')).rows[0].settled as boolean;

t.test('a large backlog is held in batches, between which events arrive and nothing is claimed', async (t) => {
  await backlog();
  await pause('invoice.*');
  const { rows } = await pool.query('select count(*) filter (where held)::int as held from tds_queue_waiting');
  t.equal(rows[0].held, 1000, 'the pause itself holds the first ones only');
  t.match(await queueStats(db), { pending: 3000 }, 'all still count as pending');
  const [other = ''] = await arrive(pool, ['new'], bill);
  await arrive(pool, ['e1']);
  t.same(await new Claimer(pool).claim(ALL_OF_EACH), [], 'what is not held yet must not run');
  t.equal(await batch(), false);
  await arrive(pool, ['e2'], deleted);
  t.same(await new Claimer(pool).claim(ALL_OF_EACH), []);
  await settlePauses(pool);
  t.same(await disagreements(pool), []);
  t.match(await new Claimer(pool).claim(ALL_OF_EACH), [{ id: other }], 'and everything else goes on');

  await resume('invoice.*');
  const early = await new Claimer(pool).claim(ALL_OF_EACH);
  t.ok(early.length > 0, 'what was let go is claimed before the rest is');
  await settlePauses(pool);
  t.same(await disagreements(pool), []);
});

t.test('intake waits for no batch', async (t) => {
  await backlog();
  await pause('invoice.*');
  const client = await pool.connect();
  await client.query('begin; select tds_settle_pauses()');
  // The batch is not committed: a lock on the queue would hold this up for ever.
  await arrive(pool, ['x'], bill);
  await client.query('commit');
  client.release();
  await settlePauses(pool);
  t.same(await disagreements(pool), []);
});

t.test('what a killed process leaves half-way is gone on with, in order within each entity', async (t) => {
  await backlog();
  await pause('invoice.*');
  const victim = await pool.connect();
  victim.on('error', () => {});
  const { rows } = await victim.query('select pg_backend_pid() as pid');
  await victim.query('begin; select tds_settle_pauses()');
  await pool.query('select pg_terminate_backend($1)', [rows[0].pid]);
  victim.release(true);
  await Promise.all([settlePauses(pool), settlePauses(pool), arrive(pool, ['e3'])]);
  await settlePauses(pool);
  t.same(await disagreements(pool), []);
  t.same(await new Claimer(pool).claim(ALL_OF_EACH), []);

  await resume('invoice.*');
  const claimer = new Claimer(pool);
  const seen = new Map<string, bigint>();
  const take = async () => {
    const events = await claimer.claim({ ...ALL_OF_EACH, limit: 1000 });
    for (const { entityId, arrival } of events) {
      if ((seen.get(`${entityId}`) ?? -1n) >= BigInt(arrival)) t.fail('an entity was overtaken');
      seen.set(`${entityId}`, BigInt(arrival));
    }
    if (events.length > 0) await claimer.end(events);
  };
  for (let n = 0; n < 3; n += 1) {
    await take();
    await batch();
  }
  await settlePauses(pool);
  await waitFor('all of them', async () => {
    await take();
    return (await queueStats(db)).completed === 3001;
  });
  t.same(await disagreements(pool), []);
});
