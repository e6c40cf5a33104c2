import t from 'tap';
import { inTransaction } from '../../src/db/transaction.ts';
import { testDatabase } from '../helper.ts';
import { ALL_OF_EACH, arrive, Claimer, RELEASED, statusOf } from './engine.ts';

const { pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue'));

const ids = (events: { id: string }[]) => events.map((event) => event.id);
const FATAL = { kind: 'failed', tag: 'ValidationError', message: 'no', permanent: true } as const;

t.test('events are claimed in order of arrival, entities of a lower priority number first', async (t) => {
  const [a, b] = await arrive(pool, ['a', 'b']);
  const [urgent] = await arrive(pool, ['c']);
  await pool.query('update tds_sync_queue set priority = 0 where id = $1', [urgent]);
  const claimer = new Claimer(pool);
  t.strictSame(ids(await claimer.claim({ limit: 1 })), [urgent]);
  t.strictSame(ids(await claimer.claim()), [a, b]);
});

t.test('an urgent event pulls its entity forward, and within the entity arrival still decides', async (t) => {
  const [, first, urgent] = await arrive(pool, ['a', 'b', 'b']);
  await pool.query('update tds_sync_queue set priority = 0 where id = $1', [urgent]);
  t.strictSame(ids(await new Claimer(pool).claim({ limit: 1 })), [first]);
});

t.test('claimed events are processing from the commit of the claim on', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  await new Claimer(pool).claim(ALL_OF_EACH);
  t.equal(await statusOf(pool, id), 'processing 0');
});

t.test('of one entity only the first is claimed, and the next when it has ended', async (t) => {
  const [first, second] = await arrive(pool, ['a', 'a']);
  const claimer = new Claimer(pool);
  const claimed = await claimer.claim();
  t.strictSame(ids(claimed), [first]);
  t.strictSame(await new Claimer(pool).claim(), [], 'not by others either');
  await claimer.end(claimed);
  t.strictSame(ids(await new Claimer(pool).claim()), [second]);
});

t.test('a set takes all waiting events of its entities in order, under one lease', async (t) => {
  const all = await arrive(pool, ['a', 'b', 'a', 'a']);
  const claimed = await new Claimer(pool).claim(ALL_OF_EACH);
  t.strictSame(ids(claimed), all);
  t.equal(new Set(claimed.map((event) => event.lease)).size, 1);
});

t.test('a set is cut by count, and an entity of which nothing was taken stays free', async (t) => {
  const [first, second, third] = await arrive(pool, ['a', 'a', 'b']);
  t.strictSame(ids(await new Claimer(pool).claim({ ...ALL_OF_EACH, limit: 2 })), [first, second]);
  t.strictSame(ids(await new Claimer(pool).claim(ALL_OF_EACH)), [third]);
});

t.test('a set is cut by bytes: the event that reaches the limit is its last', async (t) => {
  const record = Buffer.from(JSON.stringify({ text: 'x'.repeat(1000) }));
  const all = await arrive(pool, ['a', 'b', 'c', 'd'], { record });
  t.strictSame(ids(await new Claimer(pool).claim({ ...ALL_OF_EACH, maxBytes: 1500 })), all.slice(0, 2));
  t.strictSame(ids(await new Claimer(pool).claim({ ...ALL_OF_EACH, maxBytes: 1 })), all.slice(2, 3), 'never none');
});

t.test('an event that waits for its retry holds up its entity, and no other', async (t) => {
  const [failing, , other] = await arrive(pool, ['a', 'a', 'b']);
  const claimer = new Claimer(pool);
  const claimed = await claimer.claim({ limit: 1 });
  t.strictSame(ids(claimed), [failing]);
  await claimer.end(claimed, { kind: 'released', seconds: 60, tag: 'RateLimitError', message: 'wait' });
  for (const perEntity of [1, 1000]) {
    const next = new Claimer(pool);
    const got = await next.claim({ perEntity });
    t.strictSame(ids(got), [other]);
    await next.end(got, RELEASED);
  }
});

t.test('in a set, an event that has to wait takes the later events of its entity back with it', async (t) => {
  const [first = '', second = '', third = '', other = ''] = await arrive(pool, ['a', 'a', 'a', 'b']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim(ALL_OF_EACH);
  await claimer.end(held.slice(0, 1), { kind: 'failed', tag: 'NetworkError', message: 'gone', permanent: false });
  const statuses = await Promise.all([first, second, third, other].map((id) => statusOf(pool, id)));
  t.strictSame(statuses, ['retry 1', 'pending 0', 'pending 0', 'processing 0']);
  await t.rejects(claimer.end(held.slice(1, 2)), { name: 'StaleLease' }, 'they are ours no more');
  await claimer.end(held.slice(3));
});

t.test('an event cannot be completed before an earlier one that was claimed with it', async (t) => {
  const [first = ''] = await arrive(pool, ['a', 'a']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim(ALL_OF_EACH);
  await t.rejects(claimer.end(held.slice(1)), { code: 'TDS01' });
  await claimer.end(held);
  t.equal(await statusOf(pool, first), 'completed 1');
});

t.test('a dead letter holds up nobody', async (t) => {
  const [, second] = await arrive(pool, ['a', 'a']);
  const claimer = new Claimer(pool);
  await claimer.end(await claimer.claim(), FATAL);
  t.strictSame(ids(await new Claimer(pool).claim()), [second]);
});

t.test('a dead letter in a set does not hold back the later events of its entity', async (t) => {
  const [, second = ''] = await arrive(pool, ['a', 'a']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim(ALL_OF_EACH);
  await claimer.end(held.slice(0, 1), FATAL);
  t.equal(await statusOf(pool, second), 'processing 0');
  await claimer.end(held.slice(1));
  t.equal(await statusOf(pool, second), 'completed 1');
  const { rowCount } = await pool.query('select from tds_queue_claims');
  t.equal(rowCount, 0, 'the entity is free');
});

t.test(
  'a suspect and what stands behind it are left out, and a suspect is claimed only by whoever asks for it',
  async (t) => {
    const [suspect, , innocent] = await arrive(pool, ['a', 'a', 'b']);
    await pool.query('update tds_sync_queue set suspect = true where id = $1', [suspect]);
    t.strictSame(ids(await new Claimer(pool).claim(ALL_OF_EACH)), [innocent]);
    t.strictSame(ids(await new Claimer(pool).claim({ from: 'suspects', limit: 5 })), [suspect]);
  },
);

t.test('a suspect behind an earlier event of its entity waits for it', async (t) => {
  const [first, suspect] = await arrive(pool, ['a', 'a']);
  await pool.query('update tds_sync_queue set suspect = true where id = $1', [suspect]);
  t.strictSame(await new Claimer(pool).claim({ from: 'suspects' }), []);
  const claimer = new Claimer(pool);
  const claimed = await claimer.claim(ALL_OF_EACH);
  t.strictSame(ids(claimed), [first]);
  await claimer.end(claimed);
  t.strictSame(ids(await new Claimer(pool).claim({ from: 'suspects' })), [suspect]);
});

t.test('events of listed entities are claimed and no others', async (t) => {
  const [, wanted] = await arrive(pool, ['a', 'b']);
  const { rows } = await pool.query('select entity_key::text as key from tds_sync_queue where id = $1', [wanted]);
  t.strictSame(ids(await new Claimer(pool).claim({ from: [rows[0].key] })), [wanted]);
});

t.test('an event that returns to an old place is found again', async (t) => {
  const [old] = await arrive(pool, ['a']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim();
  await arrive(pool, ['b', 'c']);
  await claimer.end(await claimer.claim());
  await claimer.end(held, RELEASED);
  t.strictSame(ids(await claimer.claim()), [old]);
});

t.test("an operator's reset in psql makes a stuck event claimable at once", async (t) => {
  const [stuck] = await arrive(pool, ['a']);
  const before = new Claimer(pool);
  const held = await before.claim();
  await pool.query(`update tds_sync_queue set status = 'pending', started_at = null where status = 'processing'`);
  const after = new Claimer(pool);
  const again = await after.claim();
  t.strictSame(ids(again), [stuck]);
  await t.rejects(before.end(held), { name: 'StaleLease' }, 'the first holder is fenced');
  await after.end(again);
});

t.test('nothing is claimed while the queue is paused', async (t) => {
  const [waiting] = await arrive(pool, ['a']);
  await pool.query('update tds_queue_state set paused = true');
  t.strictSame(await new Claimer(pool).claim(), []);
  await pool.query('update tds_queue_state set paused = false');
  t.strictSame(ids(await new Claimer(pool).claim()), [waiting]);
});

t.test('an earlier event whose writer commits late is seen before the later one can be claimed', async (t) => {
  const slow = await pool.connect();
  await slow.query('begin');
  const [first] = await arrive(slow, ['a']);
  const second = arrive(pool, ['a']);
  t.strictSame(await new Claimer(pool).claim(), [], 'the second writer waits for the first');
  await slow.query('commit');
  slow.release();
  await second;
  t.strictSame(ids(await new Claimer(pool).claim()), [first]);
});

t.test('an entity in the hands of a claim that is not committed is left to it', async (t) => {
  await arrive(pool, ['a']);
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query('select entity_key from tds_queue_waiting for update');
    const { entity_key } = rows[0];
    await client.query('insert into tds_queue_claims (entity_key, lease) values ($1, gen_random_uuid())', [entity_key]);
    t.strictSame(await new Claimer(pool).claim(), []);
  });
});

t.test('rows that an open transaction of somebody holds stop nobody but their own entity', async (t) => {
  const [held = '', , , free = ''] = await arrive(pool, ['held first', 'held second', 'held second', 'free']);
  const second = (await pool.query(`select id from tds_sync_queue where entity_id = 'held second' order by arrival`))
    .rows;
  const operator = await pool.connect();
  t.teardown(() => operator.release());
  await operator.query('begin');
  await operator.query('select from tds_sync_queue where id = $1 for update', [held]);
  await operator.query('update tds_sync_queue set priority = 7 where id = $1', [second[1].id]);

  const claimer = new Claimer(pool);
  const claimed = await claimer.claim(ALL_OF_EACH);
  t.strictSame(
    claimed.map(({ id }) => id),
    [second[0].id, free],
  );
  await claimer.end(claimed);
  await operator.query('commit');
  claimer.low.reset();
  t.strictSame(
    (await claimer.claim(ALL_OF_EACH)).map(({ id }) => id),
    [held, second[1].id],
    'and then theirs',
  );
});

t.test('an event whose payload somebody has deleted is claimed all the same', async (t) => {
  const [id = ''] = await arrive(pool, ['without payload']);
  await pool.query('delete from tds_inbox_events where event_id = $1', [id]);
  t.match(await new Claimer(pool).claim(), [{ id, payloadText: null }]);
});
