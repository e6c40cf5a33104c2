/** Makes a database that has seen `completed` events, a million failures and a month of pulls, and holds 10,000 dead letters. */
import { foldMetrics } from '../../src/monitor/roll-ups/fold.ts';
import { open, settle } from '../engine.ts';
import { addCompleted, addDeadLetters, addFailures, addRuns } from '../history.ts';
import { side } from '../side.ts';

const DEAD_LETTERS = 10_000;
const FAILURES = 1_000_000;
const RUNS = 25_000;

side<{ url: string; completed: number }, true>(async ({ url, completed }) => {
  const { db, pool } = open(url);
  await addCompleted(pool, completed);
  await addFailures(pool, completed, FAILURES);
  await addRuns(pool, RUNS);
  await addDeadLetters(pool, DEAD_LETTERS);
  // As a worker does every few seconds.
  await foldMetrics(db);
  await settle(pool);
  return true;
});
