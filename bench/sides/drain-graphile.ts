import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import pg from 'pg';
import { POLL_MS, settle, walPosition } from '../engine.ts';
import { invoice } from '../invoice.ts';
import { side } from '../side.ts';
import type { Drained, DrainOptions } from './drain-tds.ts';

const ADD = 500;

/** `ordered`: one queue name per entity, which is how graphile-worker keeps the jobs of an entity in order. */
type Options = DrainOptions & { concurrentJobs?: number; ordered?: boolean };

side<Options, Drained>(async ({ url, jobs, concurrentJobs = 24, ordered = false }) => {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await utils.migrate();
  const wal0 = await walPosition(pool);
  const filling = performance.now();
  for (let n = 0; n < jobs; n += ADD) {
    const size = Math.min(ADD, jobs - n);
    await utils.addJobs(
      Array.from({ length: size }, (_, i) => ({
        ...{ identifier: 'noop', payload: JSON.parse(invoice(n + i)) },
        ...(ordered && { queueName: `invoice ${n + i}` }),
      })),
    );
  }
  const fillPerSecond = jobs / ((performance.now() - filling) / 1000);
  const wal1 = await walPosition(pool);
  await settle(pool);
  const wal2 = await walPosition(pool);
  let seen = 0;
  const noop = (payload: unknown) => {
    if ((payload as { total: number }).total === 175) seen += 1;
  };
  const worker = {
    ...{ connectionString: url, concurrentJobs, maxPoolSize: 10, pollInterval: 100 },
    ...{ localQueue: { size: 1000 }, completeJobBatchDelay: 0, failJobBatchDelay: 0 },
  };
  const started = performance.now();
  const runner = await run({ taskList: { noop }, logger, noHandleSignals: true, preset: { worker } });
  while (seen < jobs || (await left(pool)) > 0) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  const perSecond = jobs / ((performance.now() - started) / 1000);
  const wal3 = await walPosition(pool);
  await runner.stop();
  await utils.release();
  await pool.end();
  return { perSecond, fillPerSecond, fillWalPerJob: Number(wal1 - wal0) / jobs, walPerJob: Number(wal3 - wal2) / jobs };
});

async function left(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query('select count(*)::int as n from graphile_worker._private_jobs');
  return rows[0].n;
}
