/** The same drain by one worker process or several: all are up before the queue opens. */
import { drained, fill, open, settle } from '../engine.ts';
import { side, startSide } from '../side.ts';

export type WorkersOptions = { url: string; jobs: number; workers: number };

side<WorkersOptions, { perSecond: number }>(async ({ url, jobs, workers }) => {
  const { db, pool } = open(url);
  await fill(pool, jobs);
  await settle(pool);
  await pool.query('update tds_queue_state set paused = true');
  const running = await Promise.all(Array.from({ length: workers }, () => startSide('worker', { url })));
  const started = performance.now();
  await pool.query('update tds_queue_state set paused = false');
  await pool.query("select pg_notify('tds_queue', '')");
  await drained(db);
  const perSecond = jobs / ((performance.now() - started) / 1000);
  for (const worker of running) await worker.stop();
  return { perSecond };
});
