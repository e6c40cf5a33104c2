/** The load test of the operations guide: a handler that waits 50 ms for somebody else, one event at a time. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Handler } from '../../src/handlers/handler.ts';
import { Inbox } from '../../src/inbox/store.ts';
import { drained, log, open, startWorker } from '../engine.ts';
import { arrival } from '../invoice.ts';
import { side } from '../side.ts';
import { percentile } from '../stats.ts';

export type SlowHandler = {
  enqueuePerSecond: number;
  enqueueP95Ms: number;
  processPerSecond: number;
  /** From the claim of an event to its commit, and from its arrival when the queue was empty. */
  processP95Ms: number;
  kbPerEvent: number;
};

const HANDLER_MS = 50;
/** The default of WORKER_CONCURRENCY. */
const CONCURRENCY = 5;
const SENDERS = 64;

side<{ url: string; enqueue: number; process: number }, SlowHandler>(async (options) => {
  const opened = open(options.url);
  const inbox = new Inbox(opened.pool, log);
  const before = heap();
  let peak = before;
  const started = performance.now();
  const enqueued = await send(inbox, options.enqueue, () => {
    peak = Math.max(peak, process.memoryUsage().heapUsed + process.memoryUsage().external);
  });
  const enqueuePerSecond = options.enqueue / ((performance.now() - started) / 1000);
  await opened.pool.query(`delete from tds_sync_queue where arrival > ${options.process}`);

  const working = performance.now();
  const worker = await startWorker(opened, [slow], CONCURRENCY);
  await drained(opened.db);
  const processPerSecond = options.process / ((performance.now() - working) / 1000);
  await worker.stop();
  const { rows } = await opened.pool.query(
    `select percentile_cont(0.95) within group (order by extract(epoch from completed_at - started_at) * 1000) as p95
     from tds_sync_queue where status = 'completed'`,
  );
  const kbPerEvent = Math.max(0, peak - before) / options.enqueue / 1024;
  return {
    enqueuePerSecond,
    enqueueP95Ms: percentile(enqueued, 95),
    processPerSecond,
    processP95Ms: Number(rows[0].p95),
    kbPerEvent,
  };
});

const slow: Handler = {
  name: 'slow',
  eventTypes: ['*'],
  async handle(event) {
    if ((event.payload as { total: number }).total !== 175) throw new Error('this is not the invoice that was sent');
    await sleep(HANDLER_MS);
  },
};

async function send(inbox: Inbox, count: number, afterEach: () => void): Promise<number[]> {
  const latencies: number[] = [];
  let n = 0;
  const sender = async () => {
    while (n < count) {
      const event = arrival(n++);
      const started = performance.now();
      await inbox.accept(event);
      latencies.push(performance.now() - started);
      afterEach();
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  return latencies;
}

function heap(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
