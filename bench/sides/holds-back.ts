/**
 * Whether a failed first event holds back a second one of its entity until it has been tried again. A witness of
 * another entity that came last and runs shows that the second one had its chance.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { claim } from '../../src/queue/claim.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { end, fill, open, POLL_MS } from '../engine.ts';
import { side } from '../side.ts';

export type HoldsBack = { peer: 'tds' | 'graphile' | 'pgboss' };

side<HoldsBack & { url: string }, boolean>(({ peer, url }) => ({ tds, graphile, pgboss })[peer](url));

async function tds(url: string): Promise<boolean> {
  const { pool } = open(url);
  const workerId = crypto.randomUUID();
  const options = { workerId, limit: 10, perEntity: 1, maxBytes: 1e6, from: 'head', withPayload: false } as const;
  const bySharedEntity = { sharedPercent: 100 };
  await fill(pool, 1, bySharedEntity);
  await fill(pool, 1, { ...bySharedEntity, first: 50 });
  const first = await claim(pool, new LowWater(), options);
  const failed = { kind: 'failed', tag: 'UnknownError', message: 'on purpose', permanent: false } as const;
  await end(pool, workerId, first, failed);
  await fill(pool, 1, { first: 1000 });
  const next = await claim(pool, new LowWater(), options);
  return first.length === 1 && next.length === 1 && next[0]?.entityKey !== first[0]?.entityKey;
}

async function graphile(connectionString: string): Promise<boolean> {
  const pool = new pg.Pool({ connectionString, max: 2 });
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString, logger });
  await utils.migrate();
  await utils.addJob('job', { name: 'first' }, { queueName: 'one' });
  await utils.addJob('job', { name: 'second' }, { queueName: 'one' });
  const ran = new Set<string>();
  const job = (payload: unknown) => {
    const { name } = payload as { name: string };
    ran.add(name);
    if (name === 'first') throw new Error('on purpose');
  };
  const worker = { connectionString, concurrentJobs: 1, pollInterval: 100 };
  const runner = await run({ taskList: { job }, logger, noHandleSignals: true, preset: { worker } });
  const failed = 'select from graphile_worker._private_jobs where last_error is not null';
  while ((await pool.query(failed)).rows.length === 0) await sleep(POLL_MS);
  await utils.addJob('job', { name: 'witness' }, { queueName: 'another' });
  while (!ran.has('witness')) await sleep(POLL_MS);
  await runner.stop();
  await utils.release();
  await pool.end();
  return !ran.has('second');
}

async function pgboss(connectionString: string): Promise<boolean> {
  const boss = new PgBoss({ connectionString, supervise: false, schedule: false });
  await boss.start();
  await boss.createQueue('job', { policy: 'key_strict_fifo' });
  const retry = { retryLimit: 3, retryDelay: 60 };
  await boss.send('job', { name: 'first' }, { singletonKey: 'one', ...retry });
  await boss.send('job', { name: 'second' }, { singletonKey: 'one', ...retry });
  const [first] = await boss.fetch<{ name: string }>('job', { batchSize: 1 });
  if (!first) throw new Error('pg-boss: the first job was not there');
  await boss.fail('job', first.id);
  await boss.send('job', { name: 'witness' }, { singletonKey: 'another', ...retry });
  const next = await boss.fetch<{ name: string }>('job', { batchSize: 10 });
  await boss.stop({ graceful: false });
  return next.length === 1 && next[0]?.data.name === 'witness';
}
