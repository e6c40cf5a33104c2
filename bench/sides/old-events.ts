/** Makes a database whose events ended 40 days ago: all of it is for the purge. */
import { open, settle } from '../engine.ts';
import { addCompleted } from '../history.ts';
import { side } from '../side.ts';

side<{ url: string; events: number }, true>(async ({ url, events }) => {
  const { pool } = open(url);
  await addCompleted(pool, events, '40 days');
  await settle(pool);
  return true;
});
