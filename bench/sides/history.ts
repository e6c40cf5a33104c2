/** Makes a database that has seen `completed` events. */

import { open, settle } from '../engine.ts';
import { addCompleted } from '../history.ts';
import { side } from '../side.ts';

side<{ url: string; completed: number }, true>(async ({ url, completed }) => {
  const { pool } = open(url);
  await addCompleted(pool, completed);
  await settle(pool);
  return true;
});
