/** A worker that an operator has drained claims nothing from the COMMIT on, however many claims are under way. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Pool } from 'pg';
import t from 'tap';
import { openDatabase } from '../../src/db/database.ts';
import { drainWorkers, resumeWorkers } from '../../src/queue/drain.ts';
import { claimRun } from '../../src/workflows/claim.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { arrive, Claimer, registerWorker } from './engine.ts';

const { db, pool, url } = await testDatabase(t);
t.beforeEach(() => pool.query('truncate tds_sync_queue, tds_sync_logs, tds_workers, tds_workflows cascade'));

const drain = (id?: string) => db.transaction().execute((trx) => drainWorkers(trx, id, 'ann'));
const resume = (id?: string) => db.transaction().execute((trx) => resumeWorkers(trx, id));
const many = (count: number) => Array.from({ length: count }, () => randomUUID());

async function heldBy(workerId: string): Promise<number> {
  const { rows } = await pool.query(
    `select coalesce(sum(cardinality(ids)), 0)::int as n from tds_queue_leases where worker_id = $1`,
    [workerId],
  );
  return rows[0].n;
}

t.test('one worker is drained, the others go on, and resume takes it back', async (t) => {
  await arrive(pool, many(40));
  const [drained, other] = [
    new Claimer(pool, await registerWorker(pool)),
    new Claimer(pool, await registerWorker(pool)),
  ];
  t.same(await drain(drained.workerId), { outcome: 'drained', workers: 1 });
  t.same(await drain(drained.workerId), { outcome: 'already', workers: 0 }, 'the first name stands');
  t.equal((await drained.claim()).length, 0);
  t.equal((await drained.claim({ from: 'suspects' })).length, 0);
  const { rows } = await pool.query('select entity_key from tds_queue_waiting limit 5');
  t.equal((await drained.claim({ from: rows.map((row) => row.entity_key) })).length, 0);
  t.equal((await other.claim()).length, 10);
  t.same(await resume(), { outcome: 'resumed', workers: 1 });
  t.equal((await drained.claim()).length, 10);
});

t.test('all that run are drained; one that starts later claims, and one that has ended is not known', async (t) => {
  await arrive(pool, many(20));
  const ended = await registerWorker(pool);
  await pool.query('update tds_workers set ended_at = now() where worker_id = $1', [ended]);
  t.same(await drain(), { outcome: 'unknown', workers: 0 });
  const ids = [await registerWorker(pool), await registerWorker(pool)];
  t.same(await drain(), { outcome: 'drained', workers: 2 });
  for (const id of ids) t.equal((await new Claimer(pool, id).claim()).length, 0);
  t.equal((await new Claimer(pool, await registerWorker(pool)).claim()).length, 10);
  t.same(await drain(ended), { outcome: 'unknown', workers: 0 });
});

t.test('what it holds it finishes', async (t) => {
  await arrive(pool, many(3));
  const claimer = new Claimer(pool, await registerWorker(pool));
  const events = await claimer.claim();
  await drain();
  await claimer.end(events);
  const { rows } = await pool.query(`select count(*)::int as n from tds_sync_queue where status = 'completed'`);
  t.equal(rows[0].n, 3);
});

t.test('claims that race with the drain are committed before it, or take nothing', async (t) => {
  for (let round = 0; round < 10; round += 1) {
    await pool.query('truncate tds_sync_queue, tds_workers');
    await arrive(pool, many(400));
    const workerId = await registerWorker(pool);
    let stopped = false;
    let claimed = 0;
    const lanes = Array.from({ length: 4 }, async () => {
      const claimer = new Claimer(pool, workerId);
      while (!stopped) {
        const events = await claimer.claim({ limit: 3 });
        claimed += events.length;
      }
    });
    await waitFor('claims under way', () => claimed > 10 * round);
    // By hand as an operator may: the lock is in a trigger, not in our code.
    if (round % 2 === 0) await drain();
    else await pool.query('update tds_workers set drained_at = now()');
    const atCommit = await heldBy(workerId);
    for (let more = 0; more < 5; more += 1) t.equal((await new Claimer(pool, workerId).claim()).length, 0);
    stopped = true;
    await Promise.all(lanes);
    t.equal(await heldBy(workerId), atCommit, `nothing was claimed after the drain of round ${round}`);
    t.equal(claimed, atCommit);
  }
});

/** Sessions that wait for an advisory lock. */
async function waiting(): Promise<number> {
  const { rows } = await pool.query(
    `select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted and database =
       (select oid from pg_database where datname = current_database())`,
  );
  return rows[0].n;
}

t.test('the drain waits for a claim under way, and a claim for the drain', async (t) => {
  await arrive(pool, many(5));
  const workerId = await registerWorker(pool);
  const session = openDatabase({ url, max: 1, applicationName: 'tds-test' });
  t.teardown(() => session.close());
  const claiming = stopBeforeCommit(session.pool);
  const claim = new Claimer(claiming.pool, workerId).claim();
  await claiming.reached;
  let isDrained = false;
  const draining = drain().then(() => {
    isDrained = true;
  });
  await waitFor('the drain to wait', async () => (await waiting()) === 1);
  t.notOk(isDrained);
  claiming.goOn();
  t.equal((await claim).length, 5);
  await draining;
});

/** A pool whose transactions stop before their COMMIT until they may go on. */
function stopBeforeCommit(pool: Pool) {
  const reached = Promise.withResolvers<void>();
  const may = Promise.withResolvers<void>();
  const connect = async () => {
    const client = await pool.connect();
    const query = client.query.bind(client) as (...given: unknown[]) => Promise<unknown>;
    const wrapped = async (...given: unknown[]) => {
      if (given[0] === 'commit') {
        reached.resolve();
        await may.promise;
      }
      return query(...given);
    };
    return Object.assign(Object.create(client), { query: wrapped, release: () => client.release() });
  };
  return { pool: { connect } as unknown as Pool, reached: reached.promise, goOn: () => may.resolve() };
}

t.test('no workflow is claimed either', async (t) => {
  await sql`insert into tds_workflows (name, organization_id, status, payload, progress, started_by)
    values ('SyncAll', '10', 'running', '{}', '{}', 'ann')`.execute(db);
  const workerId = await registerWorker(pool);
  await drain(workerId);
  t.equal(await claimRun(db, workerId, ['SyncAll']), undefined);
  await resume(workerId);
  t.equal((await claimRun(db, workerId, ['SyncAll']))?.name, 'SyncAll');
});
