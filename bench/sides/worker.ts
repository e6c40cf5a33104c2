/** A worker process of ours that stays until its parent ends it. */
import { noop, open, startWorker } from '../engine.ts';
import { side } from '../side.ts';

side<{ url: string }, true>(async ({ url }) => {
  await startWorker(open(url), [noop()]);
  return true;
});
