/** The same for graphile-worker with LISTEN, as its default settings have it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { invoice } from '../invoice.ts';
import { side } from '../side.ts';
import type { LatencyOptions } from './latency-tds.ts';

side<LatencyOptions, number[]>(async ({ url, events, pauseMs }) => {
  const logger = new Logger(() => () => {});
  const utils = await makeWorkerUtils({ connectionString: url, logger });
  await utils.migrate();
  let started = Promise.withResolvers<number>();
  const clock = () => started.resolve(performance.now());
  const worker = { connectionString: url, concurrentJobs: 10, maxPoolSize: 10 };
  const runner = await run({ taskList: { clock }, logger, noHandleSignals: true, preset: { worker } });
  const latencies: number[] = [];
  for (let n = 0; n < events; n += 1) {
    await sleep(pauseMs);
    started = Promise.withResolvers();
    const payload = JSON.parse(invoice(n));
    const arrived = performance.now();
    await Promise.all([utils.addJob('clock', payload), started.promise]);
    latencies.push((await started.promise) - arrived);
  }
  await runner.stop();
  await utils.release();
  return latencies;
});
