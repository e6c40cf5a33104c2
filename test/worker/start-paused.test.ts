import t from 'tap';
import { pauseState } from '../../src/queue/pause.ts';
import { testDatabase } from '../helper.ts';
import { arrive, statusOf } from '../queue/engine.ts';
import { startWorker } from '../system.ts';

t.test('a worker that starts with TDS_START_PAUSED=1 claims nothing until somebody resumes', async (t) => {
  const { db, pool, url } = await testDatabase(t);
  const [id = ''] = await arrive(pool, ['1']);
  await startWorker(t, { DATABASE_URL: url, TDS_START_PAUSED: '1' });
  t.match(await pauseState(db), { paused: true, paused_by: 'TDS_START_PAUSED', reason: /TDS_START_PAUSED=1/ });
  t.equal(await statusOf(pool, id), 'pending 0');
});
