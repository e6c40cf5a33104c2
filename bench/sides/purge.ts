/** The nightly purge, in a process of its own. */
import { type PurgeResult, purge } from '../../src/queue/purge.ts';
import { open } from '../engine.ts';
import { side } from '../side.ts';

const KEPT_DAYS = 30;

side<{ url: string }, { seconds: number; deleted: PurgeResult }>(async ({ url }) => {
  const { pool } = open(url, 1, false);
  const started = performance.now();
  const deleted = await purge(pool, KEPT_DAYS);
  return { seconds: (performance.now() - started) / 1000, deleted };
});
