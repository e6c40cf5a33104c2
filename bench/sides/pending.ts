/** Makes a database with a long queue. */
import { open, settle } from '../engine.ts';
import { addPending } from '../history.ts';
import { side } from '../side.ts';

side<{ url: string; pending: number }, true>(async ({ url, pending }) => {
  const { pool } = open(url);
  await addPending(pool, pending);
  await settle(pool);
  return true;
});
