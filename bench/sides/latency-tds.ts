/** From the arrival of one event on an idle system to the start of its handler, in milliseconds. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Inbox } from '../../src/inbox/store.ts';
import { log, open, startWorker } from '../engine.ts';
import { arrival } from '../invoice.ts';
import { side } from '../side.ts';

export type LatencyOptions = { url: string; events: number; pauseMs: number };

side<LatencyOptions, number[]>(async ({ url, events, pauseMs }) => {
  const api = open(url, 4, false);
  const opened = open(url);
  let started = Promise.withResolvers<number>();
  const handler = {
    name: 'clock',
    eventTypes: ['*'],
    handleBatch: async () => void started.resolve(performance.now()),
  };
  const worker = await startWorker(opened, [handler as never]);
  const inbox = new Inbox(api.pool, log);
  const latencies: number[] = [];
  for (let n = 0; n < events; n += 1) {
    await sleep(pauseMs);
    started = Promise.withResolvers();
    const event = arrival(n);
    const arrived = performance.now();
    await Promise.all([inbox.accept(event), started.promise]);
    latencies.push((await started.promise) - arrived);
  }
  await worker.stop();
  return latencies;
});
