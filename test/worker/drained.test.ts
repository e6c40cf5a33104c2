/** A worker whose operator drains it through the API, in a process of its own. */
import t from 'tap';
import { as, OPERATORS, testApi } from '../api/client.ts';
import { waitFor } from '../helper.ts';
import { arrive, statusOf } from '../queue/engine.ts';
import { startWorker } from '../system.ts';

const { api, db, pool, url } = await testApi(t, { operators: OPERATORS });

const post = (path: string, payload: object, operator = 'operator') =>
  api.inject({ method: 'POST', url: path, headers: as(operator), payload });

const list = async () => (await api.inject({ url: '/dashboard/workers', headers: as('viewer') })).json();

t.test('a drained worker says so, claims nothing, and claims again when it may', async (t) => {
  const worker = await startWorker(t, { DATABASE_URL: url });
  const [{ worker_id: id }] = await list();
  const answer = await post('/dashboard/workers/drain', { worker_id: id, reason: 'new release' });
  t.match(answer.json(), { workers: 1 });
  await waitFor('its log to say so', () => /drained: finishes what it holds/.test(worker.output()));
  t.match(worker.output(), /operator/);
  t.match(await list(), [{ worker_id: id, state: 'drained', drained_by: 'operator' }]);
  const [event = ''] = await arrive(pool, ['1']);
  const why = await api.inject({ url: `/dashboard/events/${event}`, headers: as('viewer') });
  t.match(why.json().waits_for, { reason: 'drained', sentence: /tds workers drain --resume/ });
  t.equal(await statusOf(pool, event), 'pending 0');

  t.match((await post('/dashboard/workers/resume', { worker_id: id })).json(), { workers: 1 });
  await waitFor('the event', async () => (await statusOf(pool, event)).startsWith('completed'));
  t.match(worker.output(), /claims again/);
  const deeds = await db
    .selectFrom('tds_audit_log')
    .select(['operator', 'action', 'result', 'reason', 'after'])
    .where('target', '=', id)
    .orderBy('id')
    .execute();
  t.match(deeds, [
    { operator: 'operator', action: 'worker.drain', result: 'drained', reason: 'new release' },
    { action: 'worker.resume', result: 'resumed' },
  ]);
});

t.test('a viewer may not, and a worker that does not run is not found', async (t) => {
  t.equal((await post('/dashboard/workers/drain', {}, 'viewer')).statusCode, 403);
  const unknown = await post('/dashboard/workers/drain', { worker_id: '00000000-0000-4000-8000-000000000001' });
  t.match(unknown.json(), { status: 404, code: 'no_worker', detail: /GET \/dashboard\/workers/ });
});
