/** Makes a database that has seen `completed` events and holds 10,000 dead letters. */
import { open, settle } from '../engine.ts';
import { addCompleted, addDeadLetters } from '../history.ts';
import { side } from '../side.ts';

const DEAD_LETTERS = 10_000;

side<{ url: string; completed: number }, true>(async ({ url, completed }) => {
  const { pool } = open(url);
  await addCompleted(pool, completed);
  await addDeadLetters(pool, DEAD_LETTERS);
  await settle(pool);
  return true;
});
