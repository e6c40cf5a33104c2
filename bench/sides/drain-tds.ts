import { mirror } from '../../src/handlers/mirror.ts';
import { drained, fill, noop, open, settle, startWorker, tempBytes, walPosition } from '../engine.ts';
import { side } from '../side.ts';

export type DrainOptions = {
  url: string;
  jobs: number;
  /** Number of the first event: a database that was drained before needs new ones. */
  first?: number;
  sharedPercent?: number;
  payloadBytes?: number;
  handler?: 'noop' | 'mirror';
  /** True: the drain follows the intake at once, as in daily life: no vacuum and no checkpoint between them. */
  flowing?: boolean;
};
export type Drained = {
  perSecond: number;
  walPerJob: number;
  fillPerSecond: number;
  fillWalPerJob: number;
  /** Written to temporary files during the drain; undefined for peers. */
  tempBytes?: number;
};

side<DrainOptions, Drained>(async ({ url, jobs, handler = 'noop', flowing = false, ...events }) => {
  const filler = open(url);
  const wal0 = await walPosition(filler.pool);
  const filling = performance.now();
  await fill(filler.pool, jobs, events);
  const fillPerSecond = jobs / ((performance.now() - filling) / 1000);
  const wal1 = await walPosition(filler.pool);
  if (!flowing) await settle(filler.pool);
  await filler.close();
  const temp = await tempBytes(url);
  const opened = open(url);
  const wal2 = await walPosition(opened.pool);
  const started = performance.now();
  const worker = await startWorker(opened, [handler === 'mirror' ? mirror : noop()]);
  await drained(opened.db);
  const perSecond = jobs / ((performance.now() - started) / 1000);
  const wal3 = await walPosition(opened.pool);
  await worker.stop();
  await opened.close();
  const wal = { fillWalPerJob: Number(wal1 - wal0) / jobs, walPerJob: Number(wal3 - wal2) / jobs };
  return { perSecond, fillPerSecond, ...wal, tempBytes: (await tempBytes(url)) - temp };
});
