import { sql } from 'kysely';
import t from 'tap';
import { readFacts } from '../../src/monitor/alerts/facts.ts';
import { quarantine } from '../../src/queue/quarantine.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, RELEASED, registerWorker } from '../queue/engine.ts';
import { firingRules } from './calm.ts';

const { db, pool } = await testDatabase(t);
const FAILED: Outcome = { kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent: false };

const facts = (watchedSeconds = 3600) => readFacts(db, { failureRateMinEvents: 20, watchedSeconds });
/** What fires of the conditions that this file is about. */
const ABOUT = ['secondsWithoutWorker', 'failurePercent', 'stuck', 'givenBack'];
const firing = async (watchedSeconds?: number) =>
  firingRules(await facts(watchedSeconds)).flatMap(({ condition, title }) => (ABOUT.includes(condition) ? title : []));

t.beforeEach(async () => {
  await sql`truncate tds_sync_queue, tds_processing_totals, tds_sync_logs, tds_workers`.execute(db);
});

t.test('no worker', async (t) => {
  await t.test('is no alert while one is alive, however long ago others ended', async (t) => {
    await worker({ heartbeat: '5 minutes', expired: true });
    await worker({ heartbeat: '3 seconds' });
    t.equal((await facts()).secondsWithoutWorker, 0);
    t.strictSame(await firing(), []);
  });

  await t.test('is an alert 30 s after the last sign of life, with nothing waiting', async (t) => {
    await worker({ heartbeat: '5 minutes', expired: true });
    await worker({ heartbeat: '29 seconds', expired: true });
    t.strictSame(await firing(), []);
    await sql`update tds_workers set heartbeat_at = heartbeat_at - interval '2 seconds'`.execute(db);
    t.strictSame(await firing(), ['No Worker']);
  });

  await t.test('counts from the end of a worker that stopped', async (t) => {
    await worker({ heartbeat: '40 seconds' });
    await sql`update tds_workers set ended_at = now() - interval '29 seconds'`.execute(db);
    t.strictSame(await firing(), []);
    await sql`update tds_workers set ended_at = now() - interval '31 seconds'`.execute(db);
    t.strictSame(await firing(), ['No Worker'], 'its lease has not run out, but it ended');
  });

  await t.test(
    'is unknown to a process that has watched for less than 30 s, so that starting up is no alert',
    async (t) => {
      t.equal((await facts(29)).secondsWithoutWorker, null, 'no worker has ever run');
      t.equal((await facts(31)).secondsWithoutWorker, 31);
      await worker({ heartbeat: '2 days', expired: true });
      t.equal((await facts(29)).secondsWithoutWorker, null, 'the last one ended two days ago');
      t.strictSame(await firing(31), ['No Worker']);
    },
  );
});

t.test('the failure rate', async (t) => {
  await t.test('looks at events with a failed first attempt, not at attempts', async (t) => {
    await totals({ succeeded: 95, failed: 300, first_attempts: 100, first_failures: 5 });
    t.strictSame(await firing(2), []);
    await totals({ first_attempts: 0, first_failures: 6 });
    t.strictSame(await firing(2), ['High Failure Rate']);
  });

  await t.test('is no evidence with fewer than 20 events, one of which failed', async (t) => {
    await totals({ first_attempts: 19, first_failures: 19 });
    t.equal((await facts()).failurePercent, null);
    await totals({ first_attempts: 1, first_failures: 0 });
    t.equal((await facts()).failurePercent, 95);
  });

  await t.test('is nought with few events that all went well, and unknown without any', async (t) => {
    t.equal((await facts()).failurePercent, null);
    await totals({ arrived: 5 });
    t.equal((await facts()).failurePercent, null);
    await totals({ first_attempts: 1, first_failures: 0 });
    t.equal((await facts()).failurePercent, 0);
  });

  await t.test('leaves out what is older than an hour', async (t) => {
    await totals({ first_attempts: 50, first_failures: 50 }, '61 minutes');
    await totals({ first_attempts: 50, first_failures: 0 });
    t.equal((await facts()).failurePercent, 0);
  });

  await t.test(
    'follows the attempts of real events: failing twice counts once, being given back not at all',
    async (t) => {
      await arrive(
        pool,
        Array.from({ length: 20 }, (_, n) => `f${n}`),
      );
      const claimer = new Claimer(pool, await registerWorker(pool));
      const events = await claimer.claim({ limit: 20 });
      await claimer.end(events.slice(0, 2), FAILED);
      await claimer.end(events.slice(2, 4), RELEASED);
      await claimer.end(events.slice(4));
      const again = await claimer.claim({ limit: 20 });
      await claimer.end(again.slice(0, 2), FAILED);
      t.equal((await facts()).failurePercent, null, '18 events have had their first attempt');
      await claimer.end(again.slice(2));
      t.equal((await facts()).failurePercent, 10);
    },
  );
});

t.test('stuck events', async (t) => {
  await t.test('are those in processing for more than an hour', async (t) => {
    await arrive(pool, ['s1', 's2']);
    await new Claimer(pool, await registerWorker(pool)).claim();
    await started('59 minutes');
    t.equal((await facts()).stuck, 0);
    await started('61 minutes');
    t.equal((await facts()).stuck, 2);
    t.strictSame(await firing(), ['Stuck Events Detected']);
  });

  await t.test('are also those that an UPDATE by hand put into processing, which no worker holds', async (t) => {
    await worker({ heartbeat: '1 second' });
    await arrive(pool, ['h1', 'h2']);
    await sql`update tds_sync_queue set status = 'processing', lease = gen_random_uuid(), started_at = now()
              where entity_id = 'h1'`.execute(db);
    t.equal((await facts()).stuck, 1);
  });

  await t.test("end with the operations guide's UPDATE", async (t) => {
    await arrive(pool, ['g1', 'g2']);
    await new Claimer(pool, await registerWorker(pool)).claim();
    await started('2 hours');
    await sql`UPDATE tds_sync_queue SET status = 'pending', started_at = NULL
              WHERE status = 'processing' AND started_at < NOW() - INTERVAL '1 hour'`.execute(db);
    t.equal((await facts()).stuck, 0);
  });
});

t.test('events given back five times in a row', async (t) => {
  await worker({ heartbeat: '1 second' });
  const [id] = await arrive(pool, ['r1', 'r2']);
  const claimer = new Claimer(pool, await registerWorker(pool));
  const giveBack = async () => claimer.end(await claimer.claim({ limit: 1 }), RELEASED);
  for (let times = 0; times < 4; times += 1) await giveBack();
  t.equal((await facts()).givenBack, 0, 'four times are no alert');
  await giveBack();
  t.equal((await facts()).givenBack, 1, 'five times are');
  t.strictSame(await firing(), ['Events Given Back Again And Again']);
  const inHand = await claimer.claim({ limit: 1 });
  t.equal(inHand[0]?.id, id);
  t.equal((await facts()).givenBack, 1, 'nor does the alert flicker while it is in hand');
  await claimer.end(inHand);
  t.equal((await facts()).givenBack, 0, 'once it has ended it is no longer counted');
});

type WorkerState = { heartbeat: string; expired?: boolean };

async function worker({ heartbeat, expired = false }: WorkerState): Promise<void> {
  await sql`
    insert into tds_workers (worker_id, host, pid, heartbeat_at, expires_at, concurrency)
    values (gen_random_uuid(), 'test', 1, now() - ${heartbeat}::interval,
      now() + ${expired ? '-1 second' : '20 seconds'}::interval, 5)`.execute(db);
}

async function totals(counts: Record<string, number>, ago = '1 minute'): Promise<void> {
  await db
    .insertInto('tds_processing_totals')
    .values({ bucket: sql<Date>`now() - ${ago}::interval`, ...counts })
    .execute();
}

async function started(ago: string): Promise<void> {
  await sql`update tds_sync_queue set started_at = now() - ${ago}::interval where status = 'processing'`.execute(db);
}

t.test(
  'deliveries in quarantine are those that nobody understood, not what an operator took out of the queue',
  async (t) => {
    const [id = ''] = await arrive(pool, ['q']);
    await db.transaction().execute((trx) => quarantine(trx, id, 'ann', 'Duplicate event'));
    t.equal((await facts()).quarantined, 0);
    await sql`update tds_dead_letter_queue set quarantined_by = null where id = ${id}`.execute(db);
    t.equal((await facts()).quarantined, 1);
  },
);
