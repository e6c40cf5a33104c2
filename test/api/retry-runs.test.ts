import { sql } from 'kysely';
import t from 'tap';
import { parseAgain } from '../../src/inbox/retry.ts';
import { advanceRetryRuns } from '../../src/queue/retry-runs/advance.ts';
import { purgeRetryRuns } from '../../src/queue/retry-runs/purge.ts';
import { arrive, Claimer } from '../queue/engine.ts';
import { as, OPERATORS, testApi } from './client.ts';

const UNKNOWN = '00000000-0000-4000-8000-000000000001';
const { api, db, pool } = await testApi(t, { operators: OPERATORS });

t.beforeEach(() =>
  pool.query(`truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_retry_runs,
    tds_retry_run_events`),
);

const post = (url: string, body: object = {}, operator = 'operator') =>
  api.inject({ method: 'POST', url, headers: as(operator), payload: body });
const get = async (url: string) => (await api.inject({ url, headers: as('viewer') })).json();
const start = (body: object) => post('/dashboard/dead-letter/retry', body);
const tick = () => advanceRetryRuns(db, (trx, id) => parseAgain(trx, id, 'default'));

/** Events that died after three attempts, of a time-out unless told otherwise. */
async function dead(entityIds: string[], tag = 'TimeoutError'): Promise<string[]> {
  const ids = await arrive(pool, entityIds);
  await pool.query(
    `update tds_sync_queue set status = 'dead_letter', attempt_count = 3, error_tag = $2, error_message = 'it took 7 s'
     where id = any ($1)`,
    [ids, tag],
  );
  return ids;
}

t.test('a dry run says what would be retried, and retries nothing', async (t) => {
  await dead(['1', '2', '3']);
  await dead(['4'], 'ValidationError');
  const plan = await post('/dashboard/dead-letter/retry?dry_run=true', { filter: {} });
  t.equal(plan.statusCode, 200);
  t.match(plan.json(), {
    ...{ count: 4, permanent: 1, oldest: /^2/, newest: /^2/ },
    breakdown: [
      { error_tag: 'TimeoutError', event_type: 'invoice.updated', kind: 'failed', permanent: false, count: 3 },
      { error_tag: 'ValidationError', permanent: true, count: 1 },
    ],
  });
  t.same(await get('/dashboard/dead-letter/retries'), []);
});

t.test('the canary goes first: one, then ten, and only when they went well the rest', async (t) => {
  const ids = await dead(Array.from({ length: 30 }, (_, n) => String(n)));
  const started = await start({ filter: { error_tag: 'TimeoutError' } });
  t.equal(started.statusCode, 202);
  const { id } = started.json();
  t.match(started.json(), { status: 'running', created_by: 'operator', total: 30, waiting: 30 });
  const claimer = new Claimer(pool);
  for (const [number, released] of [1, 10, 19].entries()) {
    await sql`update tds_retry_runs set allowance_at = now() - interval '1 minute'`.execute(db);
    await tick();
    const events = await claimer.claim({ limit: 100 });
    t.equal(events.length, released, `step ${number}`);
    if (number === 0) t.equal(events[0]?.id, ids[0], 'the oldest first');
    await tick();
    t.same(await claimer.claim(), [], 'nothing more while they run');
    await claimer.end(events);
  }
  await tick();
  t.match(await get(`/dashboard/dead-letter/retries/${id}`), {
    status: 'completed',
    completed: 30,
    waiting: 0,
    ended_at: /^2/,
  });
});

t.test('what arrives now goes first, and the order of an entity stays', async (t) => {
  const [old = ''] = await dead(['same']);
  await start({ ids: [old] });
  await tick();
  const [other = '', same = ''] = await arrive(pool, ['other', 'same']);
  const claimer = new Claimer(pool);
  const [first] = await claimer.claim({ limit: 1 });
  t.equal(first?.id, other);
  const [second] = await claimer.claim({ limit: 1 });
  t.equal(second?.id, old, 'the live event of its entity pulls it ahead of itself');
  await claimer.end(second ? [second] : []);
  t.match(await claimer.claim({ limit: 1 }), [{ id: same }]);
});

t.test('permanent causes need force, and force needs a reason', async (t) => {
  await dead(['1'], 'ValidationError');
  t.match((await start({ filter: {} })).json(), { status: 409, code: 'permanent_causes', detail: /1 of 1/ });
  t.match((await start({ filter: {}, force: true })).json(), { status: 400, code: 'reason_needed' });
  const started = await start({ filter: {}, force: true, reason: 'fixed in Zoho' });
  t.match(started.json(), { total: 1, reason: 'fixed in Zoho' });
  const audit = await db.selectFrom('tds_audit_log').selectAll().orderBy('id', 'desc').limit(1).execute();
  t.match(audit, [
    { action: 'dead_letter.bulk_retry', result: 'started', detail: { reason: 'fixed in Zoho', force: true } },
  ]);
});

t.test('an error group, and what is in quarantine is left out', async (t) => {
  const ids = await dead(['1', '2']);
  await pool.query(`update tds_dead_letter_queue set quarantined_by = 'ann' where id = $1`, [ids[0]]);
  const { groups } = await get('/dashboard/dead-letter/groups');
  t.match((await start({ group: groups[0].key })).json(), { total: 1, selection: { group: groups[0].key } });
  t.match((await start({ group: '0000000000000000' })).json(), { status: 409, code: 'nothing_to_retry' });
});

t.test('a request must be clear', async (t) => {
  await dead(['1']);
  const bodies = [
    {},
    { ids: [UNKNOWN], filter: {} },
    { ids: [] },
    { filter: { colour: 'red' } },
    { filter: {}, rate_per_second: 0 },
  ];
  for (const body of [...bodies, { filter: { since: '0000-01-01T00:00:00Z' } }, { filter: { before: 'yesterday' } }])
    t.equal((await start(body)).statusCode, 400, JSON.stringify(body));
  t.match((await start({ ids: [UNKNOWN] })).json(), { status: 409, code: 'nothing_to_retry' });
});

t.test('pause, resume and cancel; what has ended stays ended', async (t) => {
  await dead(['1', '2']);
  const { id } = (await start({ filter: {} })).json();
  const control = async (what: string) => (await post(`/dashboard/dead-letter/retries/${id}/${what}`)).json();
  t.match(await control('pause'), { status: 'paused', status_reason: 'paused by operator' });
  await tick();
  t.match(await get(`/dashboard/dead-letter/retries/${id}`), { waiting: 2, in_queue: 0 });
  t.match(await control('resume'), { status: 'running', status_reason: null });
  await tick();
  t.match(await control('cancel'), { status: 'cancelled', in_queue: 1, waiting: 1 });
  for (const what of ['pause', 'resume', 'cancel']) t.match(await control(what), { status: 409, code: 'not_possible' });
  t.match((await post(`/dashboard/dead-letter/retries/${UNKNOWN}/pause`)).json(), { status: 404 });
  t.match(await get('/dashboard/dead-letter/retries'), [{ id, status: 'cancelled' }]);
});

t.test('runs that ended long ago are purged with their snapshots', async (t) => {
  const ids = await dead(Array.from({ length: 1001 }, (_, n) => String(n)));
  for (const status of ['completed', 'stopped'])
    await pool.query(
      `with run as (insert into tds_retry_runs (created_by, selection, status, rate_per_second, max_failure_percent, total, ended_at)
         values ('ann', '{}', $1, 1, 20, 1001, now() - case when $1 = 'stopped' then interval '1 day' else interval '40 days' end) returning id)
       insert into tds_retry_run_events (run_id, event_id, place) select run.id, n.id, n.place from run, unnest($2::uuid[]) with ordinality n (id, place)`,
      [status, ids],
    );
  await start({ ids: ids.slice(0, 1) });
  t.equal(await purgeRetryRuns(pool, 30), 1);
  const { rows } = await pool.query('select status from tds_retry_runs order by status');
  t.same(rows, [{ status: 'running' }, { status: 'stopped' }]);
});
