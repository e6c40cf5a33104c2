import t from 'tap';
import { inTransaction, onClient } from '../../src/db/transaction.ts';
import { refreshLowWater } from '../../src/queue/low-water.ts';
import { Random } from '../faults/random.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, statusOf } from './engine.ts';

const { pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue'));

const ids = (events: { id: string }[]) => events.map((event) => event.id);

t.test('events are claimed in order of arrival, lower priority number first', async (t) => {
  const [a, b] = await arrive(pool, ['a', 'b']);
  const [urgent] = await arrive(pool, ['c']);
  await pool.query('update tds_sync_queue set priority = 0 where id = $1', [urgent]);
  await pool.query('update tds_queue_ready set priority = 0 where queue_id = $1', [urgent]);
  t.strictSame(ids(await new Claimer(pool).claim()), [urgent, a, b]);
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
  const claimed = await new Claimer(pool).claim({ siblings: 'together' });
  t.strictSame(ids(claimed), all);
  t.equal(new Set(claimed.map((event) => event.lease)).size, 1);
});

t.test('a set is held by its claim alone: nobody else gets it, and its events stay pending for a moment', async (t) => {
  const [first = ''] = await arrive(pool, ['a', 'b']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim({ siblings: 'together' });
  t.strictSame(await new Claimer(pool).claim({ siblings: 'together' }), []);
  t.strictSame(await new Claimer(pool).claim(), []);
  t.equal(await statusOf(pool, first), 'pending 0');
  await claimer.mark(held);
  t.equal(await statusOf(pool, first), 'processing 0');
  await claimer.end(held);
  await claimer.mark(held);
  t.equal(await statusOf(pool, first), 'completed 1', 'marked too late: nothing happens');
});

t.test('a set takes a lower priority number first, and an urgent event only behind those of its entity', async (t) => {
  const [a, b, late] = await arrive(pool, ['a', 'b', 'b']);
  await pool.query('update tds_queue_ready set priority = 0 where queue_id = $1', [late]);
  const claimer = new Claimer(pool);
  t.strictSame(ids(await claimer.claim({ siblings: 'together', limit: 1 })), [b]);
  await onClient(pool, (client) => refreshLowWater(client, claimer.low));
  t.strictSame(ids(await claimer.claim({ siblings: 'together' })), [a]);
});

t.test('a set leaves out the entity of a suspect', async (t) => {
  const [suspect, , innocent] = await arrive(pool, ['a', 'a', 'b']);
  await pool.query('update tds_queue_ready set alone = true where queue_id = $1', [suspect]);
  t.strictSame(ids(await new Claimer(pool).claim({ siblings: 'together' })), [innocent]);
});

t.test('a set does not overtake an event that came back behind the marks', async (t) => {
  const [old, passed] = await arrive(pool, ['a', 'b']);
  const [claimer, other] = [new Claimer(pool), new Claimer(pool)];
  const held = await other.claim({ limit: 1 });
  await claimer.end(await claimer.claim({ siblings: 'together' }));
  t.equal(await statusOf(pool, passed ?? ''), 'completed 1', 'the marks have moved on');
  const [next] = await arrive(pool, ['a']);
  await other.end(held, { kind: 'released' });
  t.strictSame(await claimer.claim({ siblings: 'together' }), []);
  await onClient(pool, (client) => refreshLowWater(client, claimer.low));
  t.strictSame(ids(await claimer.claim({ siblings: 'together' })), [old, next]);
});

t.test('an event that waits for its retry holds up its entity, and no other', async (t) => {
  const [failing, , other] = await arrive(pool, ['a', 'a', 'b']);
  const claimer = new Claimer(pool);
  const [event] = await claimer.claim({ limit: 1 });
  t.equal(event?.id, failing);
  await claimer.end(event ? [event] : [], { kind: 'snoozed', seconds: 60, tag: 'RateLimitError', message: 'wait' });
  t.strictSame(ids(await new Claimer(pool).claim()), [other]);
});

t.test('a dead letter holds up nobody', async (t) => {
  const [, second] = await arrive(pool, ['a', 'a']);
  const claimer = new Claimer(pool);
  await claimer.end(await claimer.claim(), { kind: 'failed', tag: 'ValidationError', message: 'no', permanent: true });
  t.strictSame(ids(await new Claimer(pool).claim()), [second]);
});

t.test('a suspect is claimed alone or not at all', async (t) => {
  const [suspect, innocent] = await arrive(pool, ['a', 'b']);
  await pool.query('update tds_queue_ready set alone = true where queue_id = $1', [suspect]);
  t.strictSame(ids(await new Claimer(pool).claim()), [innocent]);
  t.strictSame(ids(await new Claimer(pool).claim({ alone: true, limit: 1 })), [suspect]);
});

t.test('an event that returns to an old place is found again after a refresh', async (t) => {
  const [old] = await arrive(pool, ['a']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim();
  await arrive(pool, ['b', 'c']);
  await claimer.end(await claimer.claim());
  await claimer.end(held, { kind: 'released' });
  await onClient(pool, (client) => refreshLowWater(client, claimer.low));
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

t.test('a claim that is rolled back was never made', async (t) => {
  const [event] = await arrive(pool, ['a']);
  await t.rejects(
    inTransaction(pool, async (client) => {
      await client.query(`delete from tds_queue_ready`);
      throw new Error('the claimer dies');
    }),
  );
  t.strictSame(ids(await new Claimer(pool).claim()), [event]);
});

for (const siblings of ['each', 'together'] as const) {
  t.test(`four claimers that take ${siblings} keep every entity in order, one at a time`, async (t) => {
    const random = new Random(7);
    await pool.query('create table if not exists claim_log (seq bigserial, entity text, arrival bigint)');
    await pool.query('truncate claim_log');
    const running = new Set<string>();
    const overlaps: string[] = [];
    const work = async () => {
      const claimer = new Claimer(pool);
      for (let idle = 0; idle < 40; ) {
        const events = await claimer.claim({ siblings, limit: random.int(1, 8) });
        idle = events.length > 0 ? 0 : idle + 1;
        const entities = new Set(events.map((event) => event.entityId ?? ''));
        for (const entity of entities) if (running.has(entity)) overlaps.push(entity);
        for (const entity of entities) running.add(entity);
        for (const event of random.chance(0.2) ? [] : events) {
          await pool.query('insert into claim_log (entity, arrival) values ($1, $2)', [event.entityId, event.arrival]);
        }
        const logged = await pool.query('select count(*)::int as n from claim_log where arrival = any ($1)', [
          events.map((event) => event.arrival),
        ]);
        // Freed before the end commits: only then may another claimer take the entity.
        for (const entity of entities) running.delete(entity);
        const done = logged.rows[0].n === events.length;
        if (events.length > 0) await claimer.end(events, done ? undefined : { kind: 'released' });
        await onClient(pool, (client) => refreshLowWater(client, claimer.low));
      }
    };
    const arrivals = async () => {
      for (let n = 0; n < 40; n += 1) {
        await arrive(
          pool,
          Array.from({ length: random.int(1, 10) }, () => `entity ${random.int(1, 12)}`),
        );
      }
    };
    await Promise.all([arrivals(), work(), work(), work(), work()]);
    const { rows } = await pool.query(`
      select * from (select entity, arrival, lag(arrival) over (partition by entity order by seq) as before
        from claim_log) l where before >= arrival`);
    t.strictSame(rows, [], 'in order of arrival');
    t.strictSame(overlaps, [], 'one at a time');
    const { rows: left } = await pool.query(
      `select count(*)::int as n from tds_sync_queue where status <> 'completed'`,
    );
    t.equal(left[0].n, 0, 'all done');
  });
}
