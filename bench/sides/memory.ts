/** Resident memory of a worker while it drains a long queue with full payloads. */
import { setInterval } from 'node:timers';
import { drained, noop, open, startWorker } from '../engine.ts';
import { side } from '../side.ts';
import { median } from '../stats.ts';

export type Memory = { maxMb: number; firstHalfMb: number; secondHalfMb: number };

const SAMPLE_MS = 100;

side<{ url: string }, Memory>(async ({ url }) => {
  const opened = open(url);
  const samples: number[] = [];
  const timer = setInterval(() => samples.push(process.memoryUsage.rss() / 1e6), SAMPLE_MS);
  const worker = await startWorker(opened, [noop()]);
  await drained(opened.db);
  clearInterval(timer);
  await worker.stop();
  const half = Math.floor(samples.length / 2);
  // The first tenth is the start: modules, connections, the first batches.
  const firstHalfMb = median(samples.slice(Math.floor(samples.length / 10), half));
  return { maxMb: Math.max(...samples), firstHalfMb, secondHalfMb: median(samples.slice(half)) };
});
