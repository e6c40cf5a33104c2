import t from 'tap';
import type { WorkerContext } from '../../src/worker/context.ts';
import { Schedule } from '../../src/worker/schedule.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { silentLog, testDatabase } from '../helper.ts';

t.test('a worker that starts tells the database how long history is kept', async (t) => {
  const { db, pool } = await testDatabase(t);
  const context = { pool, log: silentLog } as WorkerContext;
  const days = { failureRateMinEvents: 20, retentionDays: 30, historyDays: 7 };
  const schedule = new Schedule(
    context,
    db,
    { ...days, syncChangedCron: null, reconcileCron: null, defaultOrganization: 'default' },
    new Workflows([]),
  );
  await schedule.start();
  await schedule.stop();
  t.same((await pool.query('select days from books_history_days')).rows, [{ days: 7 }]);
});
