import t from 'tap';
import { compactCounts } from '../../src/queue/counts.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import { promote } from '../../src/queue/promote.ts';
import { rescue } from '../../src/queue/rescue.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { Random } from '../faults/random.ts';
import { testDatabase } from '../helper.ts';
import { disagreements } from './agreement.ts';
import { arrive, Claimer, POLICY, RELEASED, registerWorker, retryOne } from './engine.ts';

const { db, pool } = await testDatabase(t);
const STEPS = 150;
const SEED = 11;

const OUTCOMES: [Outcome, ...Outcome[]] = [
  { kind: 'succeeded', label: 'applied' },
  { kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent: false },
  { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true },
  { kind: 'released', seconds: 60, tag: 'RateLimitError', message: 'wait' },
  RELEASED,
];

const psql = (text: string) => pool.query(text);
const some = (status: string) => `(select id from tds_sync_queue where status = '${status}' limit 1)`;

/** Everything that changes the queue, statements typed in psql included. */
const ACTS: ((random: Random) => Promise<unknown>)[] = [
  (random) =>
    arrive(
      pool,
      Array.from({ length: random.int(1, 9) }, () => `e${random.int(1, 15)}`),
    ),
  (random) => arrive(pool, [`e${random.int(1, 15)}`], { quarantineReason: 'unreadable', record: null }),
  (random) => work(random, 1),
  (random) => work(random, 1000),
  () => crash(),
  () => promote(pool),
  () => compactCounts(pool),
  () => psql(`update tds_sync_queue set status = 'pending', started_at = null where status = 'processing'`),
  () => psql(`update tds_sync_queue set status = 'pending' where id in ${some('retry')}`),
  () => psql(`update tds_sync_queue set status = 'pending' where id in ${some('dead_letter')}`),
  () => psql(`update tds_sync_queue set status = 'pending' where id in ${some('completed')}`),
  () => psql(`update tds_sync_queue set status = 'dead_letter' where id in ${some('pending')}`),
  () => psql(`update tds_sync_queue set status = 'dead_letter' where id in ${some('completed')}`),
  () => psql(`update tds_sync_queue set status = 'completed' where id in ${some('pending')}`),
  () => psql(`update tds_sync_queue set status = 'completed' where id in ${some('processing')}`),
  () => psql(`update tds_sync_queue set status = 'retry' where id in ${some('processing')}`),
  () => psql(`update tds_sync_queue set run_at = now() where status in ('pending', 'retry') and run_at > now()`),
  () => psql(`update tds_sync_queue set priority = 2 where id in ${some('pending')}`),
  () => psql(`delete from tds_sync_queue where id in (select id from tds_sync_queue order by random() limit 2)`),
  () => psql(`delete from tds_sync_queue where id in ${some('processing')}`),
  () =>
    psql(
      `delete from tds_dead_letter_queue where id in (select id from tds_dead_letter_queue where resolved_at is null limit 1)`,
    ),
  () =>
    psql(`update tds_dead_letter_queue set resolved_at = now()
              where id in (select id from tds_dead_letter_queue where resolved_at is null limit 1)`),
  () => retrySome(),
];

t.test('all that is derived agrees with the queue after every step of a random walk', async (t) => {
  const random = new Random(SEED);
  for (let step = 0; step < STEPS; step += 1) {
    const act = random.int(0, ACTS.length - 1);
    await ACTS[act]?.(random);
    const wrong = await disagreements(pool);
    if (wrong.length > 0) {
      t.fail(`seed ${SEED}, step ${step}, act ${act}`, { wrong });
      return;
    }
  }
  const { rows: arrivals } = await pool.query<{ n: number }>('select last_value::int as n from tds_arrival');
  t.ok((arrivals[0]?.n ?? 0) > 20, `${arrivals[0]?.n} events arrived on the way`);
  const { rows } = await pool.query('select * from tds_rebuild()');
  t.strictSame(rows, [], 'a rebuild finds nothing to mend');
});

t.test('a rebuild mends what was written past the triggers, and says what differed', async (t) => {
  await arrive(pool, ['x1', 'x2']);
  await pool.query('delete from tds_queue_waiting');
  await pool.query('insert into tds_queue_counts (completed) values (7)');
  t.not((await disagreements(pool)).length, 0, 'it is wrong');
  const { rows } = await pool.query<{ what: string }>('select * from tds_rebuild()');
  t.strictSame(
    rows.map(({ what }) => what),
    ['count completed', 'waiting events'],
  );
  t.strictSame(await disagreements(pool), []);
});

async function work(random: Random, perEntity: number): Promise<void> {
  const claimer = new Claimer(pool, await registerWorker(pool));
  const events = await claimer.claim({ perEntity, limit: random.int(1, 12) });
  if (events.length > 0) await claimer.end(events, random.pick(OUTCOMES));
}

async function crash(): Promise<void> {
  const claimer = new Claimer(pool, await registerWorker(pool, -1));
  await claimer.claim({ limit: 2 });
  await rescue(pool, POLICY, 30);
}

async function retrySome(): Promise<void> {
  const { rows } = await pool.query('select id from tds_dead_letter_queue where resolved_at is null limit 2');
  for (const { id } of rows) await retryOne(db, id);
}

t.test('what ties an event to its claim cannot be changed while it is being processed', async (t) => {
  await pool.query('truncate tds_sync_queue');
  const [id] = await arrive(pool, ['claimed']);
  const claimer = new Claimer(pool);
  const events = await claimer.claim();
  for (const change of ['id = gen_random_uuid()', 'entity_key = 1', 'arrival = 1', 'lease = gen_random_uuid()']) {
    await t.rejects(
      pool.query(`update tds_sync_queue set ${change} where id = $1`, [id]),
      /is being processed/,
      change,
    );
  }
  await claimer.end(events);
  t.strictSame(await disagreements(pool), []);
});

t.test('truncating the dead letters takes their events out of the queue', async (t) => {
  await pool.query('truncate tds_sync_queue');
  await arrive(pool, ['dead'], { quarantineReason: 'unreadable', record: null });
  await arrive(pool, ['waiting']);
  await pool.query('truncate tds_dead_letter_queue');
  t.match(await queueStats(db), { dead_letter: 0, pending: 1, total: 1 });
  t.strictSame(await disagreements(pool), []);
});
