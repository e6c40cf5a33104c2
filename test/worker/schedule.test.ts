import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import type { WorkerContext } from '../../src/worker/context.ts';
import { Schedule } from '../../src/worker/schedule.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { silentLog, testDatabase } from '../helper.ts';

t.test('a worker that starts tells the database how long history is kept', async (t) => {
  const { db, pool } = await testDatabase(t);
  const context = { pool, log: silentLog } as WorkerContext;
  const days = { failureRateMinEvents: 20, retentionDays: 30, historyDays: 7, metricsRetentionDays: 90 };
  const silent = { ...loadConfig({}), syncChangedCron: null, reconcileCron: null, digestCron: undefined };
  const schedule = new Schedule(context, db, { ...silent, ...days }, new Workflows([]));
  await schedule.start();
  await schedule.stop();
  t.same((await pool.query('select days from books_history_days')).rows, [{ days: 7 }]);
});
