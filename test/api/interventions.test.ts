import t from 'tap';
import { inTransaction } from '../../src/db/transaction.ts';
import { finish } from '../../src/queue/finish.ts';
import { transition } from '../../src/queue/state.ts';
import { arrive, Claimer, POLICY, statusOf } from '../queue/engine.ts';
import { addDeadLetter, as, OPERATORS, testApi } from './client.ts';

const UNKNOWN = '00000000-0000-4000-8000-000000000001';

const { api, db, pool } = await testApi(t, { operators: OPERATORS });

t.beforeEach(() =>
  pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_change_totals'),
);

/** As `curl -X POST -d` sends it: a body without the Content-Type of JSON. */
function post(url: string, body?: object, operator = 'operator') {
  const type = { 'content-type': 'application/x-www-form-urlencoded' };
  const payload = body ? { payload: JSON.stringify(body) } : {};
  return api.inject({ method: 'POST', url, headers: { ...as(operator), ...(body ? type : {}) }, ...payload });
}

/** An event whose first attempt failed, so that it waits for its second one for an hour. */
async function failedOnce(entityId: string): Promise<string> {
  const [id = ''] = await arrive(pool, [entityId]);
  const [event] = await new Claimer(pool).claim();
  if (event?.id !== id) throw new Error('claimed another event');
  const outcome = {
    kind: 'failed',
    tag: 'NetworkError',
    message: 'reset',
    permanent: false,
    retryAfterSeconds: 3600,
  } as const;
  const ends = [{ event, transition: transition(event, outcome, POLICY), durationMs: 1 }];
  await inTransaction(pool, (client) => finish(client, UNKNOWN, ends));
  return id;
}

const auditOf = (target: string) =>
  db
    .selectFrom('tds_audit_log')
    .select(['operator', 'action', 'result', 'detail'])
    .where('target', '=', target)
    .orderBy('id')
    .execute();

t.test('process-pending lets what waits for its next attempt run now', async (t) => {
  const id = await failedOnce('1');
  t.same(await new Claimer(pool).claim(), [], 'it would wait for an hour');
  t.match((await post('/api/jobs/process-pending?dry_run=true')).json(), { success: true, events: 1 });
  t.same(await new Claimer(pool).claim(), [], 'a dry run changes nothing');
  t.match((await post('/api/jobs/process-pending')).json(), { success: true, events: 1 });
  t.match(await new Claimer(pool).claim(), [{ id, attemptCount: 1 }], 'the attempts stay as they are');
  t.match((await post('/api/jobs/process-pending')).json(), { events: 0 });
});

t.test('replay sets the same row back to pending, whatever became of the event', async (t) => {
  for (const status of ['completed', 'dead_letter', 'retry', 'pending']) {
    const [id = ''] = await arrive(pool, [status]);
    await pool.query('update tds_sync_queue set status = $2, attempt_count = 2 where id = $1', [id, status]);
    const answer = await post(`/api/admin/events/${id}/replay`);
    t.same(answer.json(), { success: true, message: 'Event set back to pending', event_id: id });
    t.equal(await statusOf(pool, id), 'pending 0');
    t.match(await auditOf(id), [{ operator: 'operator', action: 'event.replay', result: 'replayed' }]);
  }
  const { rows } = await pool.query(
    'select count(*)::int as n, bool_and(not processed) as again from tds_inbox_events',
  );
  t.same(rows, [{ n: 4, again: true }]);
});

t.test('an event in hand is not replayed, and an unknown one is not found', async (t) => {
  const [id = ''] = await arrive(pool, ['1']);
  await new Claimer(pool).claim();
  t.match((await post(`/api/admin/events/${id}/replay`)).json(), { status: 409, code: 'being_processed' });
  t.match((await post(`/api/admin/events/${UNKNOWN}/replay`)).json(), { status: 404, code: 'not_found' });
});

t.test('quarantine takes a waiting event out, and later events of its entity go on', async (t) => {
  const [first = '', second = ''] = await arrive(pool, ['1', '1']);
  const answer = await post(`/api/admin/events/${first}/quarantine`, { reason: 'Duplicate event' });
  t.match([answer.statusCode, answer.json()], [200, { success: true, event_id: first }]);
  t.match(await new Claimer(pool).claim(), [{ id: second }]);
  const [letter] = (await api.inject({ url: '/dashboard/dead-letter', headers: as('viewer') })).json();
  t.match(letter, { id: first, kind: 'quarantined', last_error: 'Duplicate event', quarantined_by: 'operator' });
  t.match(await auditOf(first), [
    { action: 'event.quarantine', result: 'quarantined', detail: { reason: 'Duplicate event' } },
  ]);
});

t.test('a deed that needs a reason says so when it gets no body at all', async (t) => {
  const { status, detail } = (await post(`/api/admin/events/${UNKNOWN}/quarantine`)).json();
  t.equal(status, 400);
  t.match(detail, /^Correct the body: it must be a JSON object/);
});

t.test('what is in quarantine is left alone by retry and replay, until it is released', async (t) => {
  const id = await failedOnce('1');
  await post(`/api/admin/events/${id}/quarantine`, { reason: 'to be looked at' });
  for (const url of [`/dashboard/dead-letter/${id}/retry`, `/api/admin/events/${id}/replay`])
    t.match((await post(url)).json(), { status: 409, code: 'in_quarantine' });
  t.equal((await post(`/api/admin/events/${id}/release`)).statusCode, 200);
  t.equal(await statusOf(pool, id), 'pending 1', 'with the attempt that it had used');
  const { rows } = await pool.query(
    'select quarantined_by, retry_count, resolved_at is null as open from tds_dead_letter_queue',
  );
  t.same(rows, [{ quarantined_by: null, retry_count: 0, open: false }], 'a release is not a retry');
  t.match((await post(`/api/admin/events/${id}/release`)).json(), { status: 409, code: 'not_quarantined' });
});

t.test('SQL by hand ends a quarantine too', async (t) => {
  const [id = ''] = await arrive(pool, ['1']);
  await post(`/api/admin/events/${id}/quarantine`, { reason: 'x' });
  await pool.query(`update tds_sync_queue set status = 'pending' where id = $1`, [id]);
  const { rows } = await pool.query('select quarantined_by from tds_dead_letter_queue');
  t.same(rows, [{ quarantined_by: null }]);
});

t.test('only what waits can be quarantined, and with a reason', async (t) => {
  const dead = await addDeadLetter(db);
  t.match((await post(`/api/admin/events/${dead}/quarantine`, { reason: 'x' })).json(), {
    status: 409,
    code: 'not_waiting',
  });
  t.match((await post(`/api/admin/events/${UNKNOWN}/quarantine`, { reason: 'x' })).json(), { status: 404 });
  for (const body of [undefined, {}, { reason: '' }, { reason: '  ' }, { reason: 'a\u0000b' }])
    t.match((await post(`/api/admin/events/${dead}/quarantine`, body)).json(), { status: 400 }, JSON.stringify(body));
});

t.test('pause stops all claiming, says who and why, and resume ends it', async (t) => {
  const [id = ''] = await arrive(pool, ['1']);
  const paused = { paused: true, paused_by: 'operator', reason: 'Zoho is down' };
  t.match((await post('/dashboard/queue/pause', { reason: 'Zoho is down' })).json(), paused);
  t.match(
    (await post('/dashboard/queue/pause', { reason: 'again' }, 'admin')).json(),
    paused,
    'the first reason stands',
  );
  t.same(await new Claimer(pool).claim(), []);
  const get = async (url: string) => (await api.inject({ url, headers: as('viewer') })).json();
  t.match((await get('/dashboard/metrics')).queue.pause, paused);
  t.match((await get('/readyz?verbose')).queue, { paused: true, paused_at: /^2/ });
  t.notMatch(JSON.stringify(await get('/readyz?verbose')), 'Zoho', 'readyz is open to everybody');
  t.match((await post('/api/jobs/process-pending')).json().message, 'The queue is paused');
  t.match((await post('/dashboard/queue/resume')).json(), { paused: false, paused_by: null, reason: null });
  t.match(await new Claimer(pool).claim(), [{ id }]);
});

t.test('an event type is paused and resumed by itself, and every why says so', async (t) => {
  const body = { reason: 'wrong price', event_type: 'invoice.*' };
  const [id = ''] = await arrive(pool, ['1']);
  const [behind = ''] = await arrive(pool, ['1'], { eventType: 'invoice.deleted', action: 'deleted' });
  const paused = {
    paused: false,
    event_types: [{ event_type: 'invoice.*', paused_by: 'operator', reason: 'wrong price' }],
  };
  t.match((await post('/dashboard/queue/pause', body)).json(), paused);
  const get = async (url: string) => (await api.inject({ url, headers: as('viewer') })).json();
  t.match((await get('/dashboard/metrics')).queue, { pause: paused, by_status: { pending: 2 } });
  t.match((await get('/readyz?verbose')).queue, { paused: false, event_types: ['invoice.*'] });
  t.match((await get(`/dashboard/events/${id}`)).waits_for, {
    reason: 'paused',
    sentence: /^Events of the type invoice\.\* are paused by operator since .*: wrong price\.$/,
  });
  await pool.query(`update tds_event_type_pauses set event_type = 'invoice.updated'`);
  t.match((await get(`/dashboard/events/${behind}`)).waits_for, {
    reason: 'its_turn',
    sentence: /behind event .* of the same record, which is paused with all of invoice\.updated/,
  });
  t.match(await auditOf('invoice.*'), [{ action: 'queue.pause', result: 'paused', detail: { reason: 'wrong price' } }]);
  t.match((await post('/dashboard/queue/resume', { event_type: 'invoice.updated' })).json(), { event_types: [] });
  t.match(await new Claimer(pool).claim(), [{ id }]);
});

t.test('a type that no event can have is refused, and so is a misspelt member', async (t) => {
  for (const event_type of ['*', 'invoice', 'invoices.*', 'a.b.c', 'invoice.* '])
    t.match((await post('/dashboard/queue/pause', { reason: 'x', event_type })).json(), { status: 400 }, event_type);
  t.match((await post('/dashboard/queue/pause', { reason: 'x', eventType: 'invoice.*' })).json(), { status: 400 });
  t.match((await post('/dashboard/queue/resume', { type: 'invoice.*' })).json(), { status: 400 });
});

t.test('while somebody holds the queue, a pause of a type gives way to the webhooks', async (t) => {
  const holder = await pool.connect();
  t.teardown(() => holder.release());
  await holder.query('begin; lock table tds_sync_queue in row exclusive mode');
  const answer = await post('/dashboard/queue/pause', { reason: 'x', event_type: 'invoice.*' });
  t.equal(answer.statusCode, 503, answer.body);
  await holder.query('rollback');
});

t.test('release-stuck sets back what has been in hand for too long', async (t) => {
  const [id = ''] = await arrive(pool, ['1', '2']);
  await new Claimer(pool).claim();
  await pool.query(`update tds_sync_queue set started_at = now() - interval '2 hours' where id = $1`, [id]);
  t.same((await post('/dashboard/queue/release-stuck?dry_run=true')).json(), { events: 1 });
  t.same((await post('/dashboard/queue/release-stuck')).json(), { events: 1 });
  t.equal(await statusOf(pool, id), 'pending 0');
});

t.test('purge and rebuild say what they did, and a dry run does nothing', async (t) => {
  const [id = ''] = await arrive(pool, ['1']);
  await pool.query(
    `update tds_sync_queue set status = 'completed', queued_at = now() - interval '90 days',
    completed_at = now() - interval '89 days' where id = $1`,
    [id],
  );
  await pool.query('truncate tds_change_totals'); // as after 90 days: it is no webhook of the last day
  t.match((await post('/dashboard/queue/purge?dry_run=true')).json(), { deleted: { events: 1 } });
  t.match((await post('/dashboard/queue/purge?days=100')).json(), { deleted: { events: 0 }, finished: true });
  t.match((await post('/dashboard/queue/purge')).json(), { deleted: { events: 1 }, finished: true });
  await pool.query('insert into tds_queue_counts (pending) values (7)');
  const differences = [{ what: 'count pending', was: '7', is_now: '0' }];
  t.same((await post('/dashboard/queue/rebuild?dry_run=true')).json(), { differences });
  t.same((await post('/dashboard/queue/rebuild')).json(), { differences });
  t.same((await post('/dashboard/queue/rebuild')).json(), { differences: [] });
});
