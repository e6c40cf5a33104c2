import pg from 'pg';
import { PgBoss } from 'pg-boss';
import { settle, walPosition } from '../engine.ts';
import { invoice } from '../invoice.ts';
import { side } from '../side.ts';
import type { Drained, DrainOptions } from './drain-tds.ts';

const ADD = 500;
const QUEUE = 'noop';

/** `ordered`: a key per entity under the policy that promises their order. */
type Options = DrainOptions & { batchSize?: number; loops?: number; ordered?: boolean };

side<Options, Drained>(async ({ url, jobs, batchSize = 500, loops = 2, ordered = false }) => {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const boss = new PgBoss({ connectionString: url, supervise: false, schedule: false, max: 10 });
  boss.on('error', (error) => console.error(error));
  await boss.start();
  await boss.createQueue(QUEUE, ordered ? { policy: 'key_strict_fifo' } : undefined);
  const wal0 = await walPosition(pool);
  const filling = performance.now();
  for (let n = 0; n < jobs; n += ADD) {
    const size = Math.min(ADD, jobs - n);
    await boss.insert(
      QUEUE,
      Array.from({ length: size }, (_, i) => ({
        data: JSON.parse(invoice(n + i)),
        ...(ordered && { singletonKey: `invoice ${n + i}` }),
      })),
    );
  }
  const fillPerSecond = jobs / ((performance.now() - filling) / 1000);
  const wal1 = await walPosition(pool);
  await settle(pool);
  const wal2 = await walPosition(pool);
  let seen = 0;
  const loop = async () => {
    while (seen < jobs) {
      const batch = await boss.fetch<{ total: number }>(QUEUE, { batchSize });
      if (batch.length === 0) return;
      for (const { data } of batch) if (data.total === 175) seen += 1;
      await boss.complete(
        QUEUE,
        batch.map(({ id }) => id),
      );
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: loops }, loop));
  const perSecond = jobs / ((performance.now() - started) / 1000);
  if (seen !== jobs) throw new Error(`pg-boss: ${seen} of ${jobs} jobs were seen`);
  const wal3 = await walPosition(pool);
  await boss.stop({ graceful: false });
  await pool.end();
  return {
    perSecond,
    fillPerSecond,
    fillWalPerJob: Number(wal1 - wal0) / jobs,
    walPerJob: Number(wal3 - wal2) / jobs,
  };
});
