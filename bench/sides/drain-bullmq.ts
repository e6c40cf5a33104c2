import { Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { invoice } from '../invoice.ts';
import { side } from '../side.ts';
import type { Drained } from './drain-tds.ts';

const ADD = 500;

type Options = { redisUrl: string; jobs: number; concurrency?: number; keepCompleted?: boolean };

side<Options, Drained>(async ({ redisUrl, jobs, concurrency = 100, keepCompleted = false }) => {
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  await connection.flushall();
  const queue = new Queue('noop', { connection });
  const filling = performance.now();
  for (let n = 0; n < jobs; n += ADD) {
    const size = Math.min(ADD, jobs - n);
    await queue.addBulk(Array.from({ length: size }, (_, i) => ({ name: 'noop', data: JSON.parse(invoice(n + i)) })));
  }
  const fillPerSecond = jobs / ((performance.now() - filling) / 1000);
  let completed = 0;
  const { promise: done, resolve } = Promise.withResolvers<void>();
  const read = async ({ data }: { data: { total: number } }) => {
    if (data.total !== 175) throw new Error('this is not the invoice that was sent');
  };
  const removeOnComplete = keepCompleted ? undefined : { count: 0 };
  const started = performance.now();
  const worker = new Worker('noop', read, { connection, concurrency, ...(removeOnComplete && { removeOnComplete }) });
  worker.on('completed', () => {
    completed += 1;
    if (completed === jobs) resolve();
  });
  await done;
  const perSecond = jobs / ((performance.now() - started) / 1000);
  await worker.close(true);
  await queue.close();
  connection.disconnect();
  return { perSecond, fillPerSecond, fillWalPerJob: Number.NaN, walPerJob: Number.NaN };
});
