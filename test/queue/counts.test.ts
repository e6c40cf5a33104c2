import t from 'tap';
import { onClient } from '../../src/db/transaction.ts';
import { compactCounts } from '../../src/queue/counts.ts';
import { retryDeadLetter } from '../../src/queue/dead-letter.ts';
import { queueStats } from '../../src/queue/inspect.ts';
import { promote } from '../../src/queue/promote.ts';
import { rescue } from '../../src/queue/rescue.ts';
import type { Outcome } from '../../src/queue/state.ts';
import { Random } from '../faults/random.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, POLICY, registerWorker } from './engine.ts';

const { db, pool } = await testDatabase(t);
const STEPS = 120;
const SEED = 11;

const OUTCOMES: [Outcome, ...Outcome[]] = [
  { kind: 'succeeded', label: 'applied' },
  { kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent: false },
  { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true },
  { kind: 'snoozed', seconds: 60, tag: 'RateLimitError', message: 'wait' },
  { kind: 'released' },
];

/** Everything that changes the queue, operators in psql included. */
const ACTS: ((random: Random) => Promise<unknown>)[] = [
  (random) =>
    arrive(
      pool,
      Array.from({ length: random.int(1, 9) }, () => `e${random.int(1, 15)}`),
    ),
  (random) => arrive(pool, [`e${random.int(1, 15)}`], { quarantineReason: 'unreadable', record: null }),
  (random) => work(random, 'each'),
  (random) => work(random, 'together'),
  () => crash(),
  () => onClient(pool, promote),
  () => onClient(pool, compactCounts),
  () => psql(`update tds_sync_queue set status = 'pending', started_at = null where status = 'processing'`),
  () => psql(`update tds_sync_queue set run_at = now() where status in ('pending', 'retry') and run_at > now()`),
  () => psql(`delete from tds_sync_queue where id in (select id from tds_sync_queue order by random() limit 2)`),
  () => psql(`delete from tds_sync_queue where id in (select id from tds_sync_queue where status = 'pending' limit 1)`),
  () => retrySome(),
];

t.test('live counts, ready and delayed agree with the queue after every step of a random walk', async (t) => {
  const random = new Random(SEED);
  for (let step = 0; step < STEPS; step += 1) {
    const act = random.int(0, ACTS.length - 1);
    await ACTS[act]?.(random);
    const wrong = await disagreements();
    if (wrong.length > 0) {
      t.fail(`seed ${SEED}, step ${step}, act ${act}`, { wrong });
      return;
    }
  }
  const { total } = await queueStats(db);
  t.ok(total > 20, `${total} rows at the end`);
});

async function disagreements(): Promise<unknown[]> {
  const { rows: counted } = await pool.query(
    `select status, count(*)::int as n from tds_sync_queue group by status order by status`,
  );
  const stats: Record<string, number> = await queueStats(db);
  const wrong: unknown[] = Object.entries(stats).flatMap(([status, n]) => {
    const rows = status === 'total' ? undefined : (counted.find((row) => row.status === status)?.n ?? 0);
    return rows === undefined || rows === n ? [] : [{ status, rows, counted: n }];
  });
  const { rows: astray } = await pool.query(`
    select q.id, q.status from tds_sync_queue q
    where (q.status in ('pending', 'retry')) <> (
      exists (select from tds_queue_ready r where r.queue_id = q.id)
      or exists (select from tds_queue_delayed d where d.queue_id = q.id))`);
  const { rows: ghosts } = await pool.query(`
    select queue_id from (select queue_id from tds_queue_ready union all select queue_id from tds_queue_delayed) w
    group by queue_id having count(*) > 1 or not exists (select from tds_sync_queue q where q.id = queue_id)`);
  const { rows: dead } = await pool.query(`
    select id from tds_sync_queue q where (q.status = 'dead_letter') <>
      exists (select from tds_dead_letter_queue d where d.queue_id = q.id and d.resolved_at is null)`);
  return [...wrong, ...astray, ...ghosts, ...dead];
}

async function work(random: Random, siblings: 'each' | 'together'): Promise<void> {
  const claimer = new Claimer(pool, await registerWorker(pool));
  const events = await claimer.claim({ siblings, limit: random.int(1, 12) });
  if (events.length > 0) await claimer.end(events, random.pick(OUTCOMES));
}

async function crash(): Promise<void> {
  const claimer = new Claimer(pool, await registerWorker(pool, -1));
  await claimer.claim({ limit: 2 });
  await rescue(pool, POLICY, 30);
}

async function retrySome(): Promise<void> {
  const { rows } = await pool.query('select id from tds_dead_letter_queue where resolved_at is null limit 2');
  for (const { id } of rows) await retryDeadLetter(db, id);
}

/** An operator's statement. A deleted dead letter row leaves its dead letter, which an operator would close as well. */
async function psql(text: string): Promise<void> {
  await pool.query(text);
  await pool.query(`update tds_dead_letter_queue d set resolved_at = now() where resolved_at is null
    and not exists (select from tds_sync_queue q where q.id = d.queue_id)`);
}
