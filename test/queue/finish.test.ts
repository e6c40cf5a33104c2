import { sql } from 'kysely';
import t from 'tap';
import { deadLetters } from '../../src/monitor/dead-letters.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { ALL_OF_EACH, arrive, Claimer, RELEASED, retryOne, SUCCESS, statusOf } from './engine.ts';

const { db, pool } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_dead_letter_queue, tds_sync_logs'));
await pool.query('create table effects (event_id uuid)');

const FATAL: Outcome = { kind: 'failed', tag: 'ValidationError', message: 'no such item', permanent: true };

t.test('effects commit with the completion, and only under the lease', async (t) => {
  const [id] = await arrive(pool, ['a']);
  const zombie = new Claimer(pool);
  const held = await zombie.claim();
  await pool.query(`update tds_sync_queue set status = 'pending', started_at = null where id = $1`, [id]);
  const owner = new Claimer(pool);
  const effect = (client: { query(text: string, values: unknown[]): Promise<unknown> }) =>
    client.query('insert into effects values ($1)', [id]);
  await owner.end(await owner.claim(), SUCCESS, effect);
  await t.rejects(zombie.end(held, SUCCESS, effect), { name: 'StaleLease' });
  const { rowCount } = await pool.query('select from effects where event_id = $1', [id]);
  t.equal(rowCount, 1, "the zombie's effect vanished with its transaction");
});

t.test('finishing twice is refused', async (t) => {
  await arrive(pool, ['a']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim();
  await claimer.end(held);
  await t.rejects(claimer.end(held), { name: 'StaleLease' });
  await t.rejects(claimer.end(held, FATAL), { name: 'StaleLease' }, 'a done event cannot fail');
});

t.test('one stale event of a set undoes the whole set', async (t) => {
  const [first] = await arrive(pool, ['a', 'b']);
  const claimer = new Claimer(pool);
  const held = await claimer.claim();
  await pool.query(`update tds_sync_queue set status = 'pending', started_at = null where id = $1`, [first]);
  await t.rejects(claimer.end(held), { name: 'StaleLease' });
  t.equal(await statusOf(pool, held[1]?.id ?? ''), 'processing 0');
});

t.test('a set is completed as its events would be one by one', async (t) => {
  await arrive(pool, ['a', 'b']);
  const [one, set] = [new Claimer(pool), new Claimer(pool)];
  await one.end(await one.claim({ limit: 1 }));
  await set.end(await set.claim(ALL_OF_EACH));
  const { rows } = await pool.query(`
    select q.status, attempt_count, q.outcome, q.started_at is null as not_started, q.lease is null as no_lease,
      suspect, q.error_tag, l.status as log_status, l.attempt, l.outcome as log_outcome, l.duration_ms, processed
    from tds_sync_queue q join tds_sync_logs l on l.queue_id = q.id join tds_inbox_events i on i.event_id = q.id`);
  t.equal(rows.length, 2);
  t.strictSame(rows[0], rows[1]);
});

t.test('three failures make a dead letter that keeps the payload', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  for (const expected of ['retry 1', 'retry 2', 'dead_letter 3']) {
    const claimer = new Claimer(pool);
    await claimer.end(await claimer.claim(), {
      kind: 'failed',
      tag: 'NetworkError',
      message: 'gone',
      permanent: false,
    });
    t.equal(await statusOf(pool, id), expected);
  }
  const letters = await listOpen();
  t.equal(letters.length, 1);
  t.match(letters[0], {
    original_queue_id: id,
    attempt_count: 3,
    payload: { invoice_id: 'a' },
    retry_count: 0,
  });
});

t.test('of two retries at once one succeeds and the other is told so', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const claimer = new Claimer(pool);
  await claimer.end(await claimer.claim(), FATAL);
  const dead = await openDeadLetter();
  const outcomes = await Promise.all([1, 2, 3, 4].map(() => retryOne(db, dead.id)));
  t.strictSame(outcomes.map(({ outcome }) => outcome).sort(), ['conflict', 'conflict', 'conflict', 'retried']);
  t.equal(dead.id, id, 'one id for ever');
  t.equal(await statusOf(pool, id), 'pending 0');
  t.match(await queueStats(db), { pending: 1, dead_letter: 0, total: 1 });
});

t.test('a dead letter that dies again comes back with one retry more', async (t) => {
  await arrive(pool, ['a']);
  for (const expected of [0, 1, 2]) {
    const claimer = new Claimer(pool);
    await claimer.end(await claimer.claim(), FATAL);
    const dead = await openDeadLetter();
    t.equal(dead.retry_count, expected);
    t.equal(dead.last_retry_at === null, expected === 0);
    await retryOne(db, dead.id);
  }
  const claimer = new Claimer(pool);
  await claimer.end(await claimer.claim());
  t.match(await queueStats(db), { completed: 1, dead_letter: 0, total: 1 });
});

t.test('an unknown dead letter is not found', async (t) => {
  t.strictSame(await retryOne(db, '00000000-0000-7000-8000-000000000000'), { outcome: 'not_found' });
});

async function openDeadLetter() {
  const { rows } = await sql<{ id: string; retry_count: number; last_retry_at: Date | null }>`
    select * from tds_dead_letter_queue where resolved_at is null`.execute(db);
  return rows[0] ?? { id: '', retry_count: -1, last_retry_at: null };
}

t.test('a dead letter whose queue row was deleted in psql is closed, and cannot be retried', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const claimer = new Claimer(pool);
  await claimer.end(await claimer.claim(), FATAL);
  await pool.query('delete from tds_sync_queue where id = $1', [id]);
  t.strictSame(await listOpen(), []);
  t.match(await retryOne(db, id), { outcome: 'conflict' });
});

t.test('an event that is given back uncharged more than five times in a row is charged from then on', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const limited: Outcome = { kind: 'released', seconds: 0, tag: 'RateLimitError', message: 'later' };
  const seen: string[] = [];
  for (let n = 0; n < 8; n += 1) {
    const claimer = new Claimer(pool);
    await claimer.end(await claimer.claim(), limited);
    seen.push(await statusOf(pool, id));
  }
  const free = Array.from({ length: 5 }, () => 'pending 0');
  t.strictSame(seen, [...free, 'retry 1', 'retry 2', 'dead_letter 3']);
});

t.test('a success or a failure starts the count of releases anew', async (t) => {
  const [id = ''] = await arrive(pool, ['a']);
  const outcomes: Outcome[] = [RELEASED, { kind: 'failed', tag: 'NetworkError', message: 'gone', permanent: false }];
  for (const [n, outcome] of outcomes.entries()) {
    const claimer = new Claimer(pool);
    await claimer.end(await claimer.claim(), outcome);
    const { rows } = await pool.query('select release_count from tds_sync_queue where id = $1', [id]);
    t.equal(rows[0].release_count, n === 0 ? 1 : 0);
  }
});

async function listOpen(): Promise<unknown[]> {
  return JSON.parse((await deadLetters(db, 'open', { limit: 1000 })).json);
}

/** Two at a time: so many clicks at once as the pool's connections can serve before it gives up on one. */
async function inWaves(ids: string[], work: (id: string) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < ids.length; at += 2) await Promise.all(ids.slice(at, at + 2).map(work));
}

t.test(
  'two hundred dead letters are retried by three and by twenty clicks at once while their events fail at once',
  async (t) => {
    const entities = Array.from({ length: 200 }, (_, n) => `e${n}`);
    const ids = await arrive(pool, entities);
    const bury = async () => {
      const claimer = new Claimer(pool);
      const events = await claimer.claim({ limit: 200 });
      if (events.length > 0) await claimer.end(events, FATAL);
      return events.length;
    };
    await bury();
    for (const clicks of [3, 20]) {
      let retried = 0;
      const click = async (id: string) => {
        if ((await retryOne(db, id)).outcome === 'retried') retried += 1;
      };
      const clicking = inWaves(ids, (id) => Promise.all(Array.from({ length: clicks }, () => click(id))));
      let buried = 0;
      const clicked = clicking.then(() => true);
      while (!(await Promise.race([clicked, Promise.resolve(false)]))) buried += await bury();
      buried += await bury();
      t.equal(buried, retried, `${clicks} clicks: each retry was one attempt`);
      t.ok(retried >= 200, `${retried} retries`);
      t.strictSame(await disagreements(pool), []);
      t.equal((await listOpen()).length, 200, 'none is lost');
    }
  },
);
