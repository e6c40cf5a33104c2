/** Discard, restore, and edit-and-retry of dead letters, as the API does them. */
import { randomUUID } from 'node:crypto';
import t, { type Test } from 'tap';
import { Claimer, statusOf } from '../queue/engine.ts';
import { addDeadLetter, as, OPERATORS, testApi } from './client.ts';

const { api, db, pool } = await testApi(t, { operators: OPERATORS });

t.beforeEach(() =>
  pool.query(`truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_event_edits`),
);

function post(url: string, body?: object | string, operator = 'operator') {
  const payload = typeof body === 'string' ? body : JSON.stringify(body);
  const content = body ? { payload, headers: { ...as(operator), 'content-type': 'application/json' } } : {};
  return api.inject({ method: 'POST', url, headers: as(operator), ...content });
}

const get = async (url: string) => (await api.inject({ url, headers: as('viewer') })).json();
const RECORD = '{"contact_id":"460000000026049","contact_name":"Exmaple","balance":12345678901234567.10}';
const CONTACT = '{"contact_id":"460000000026049","contact_name":"Example","balance":12345678901234567.10}';

const auditOf = (target: string) =>
  db.selectFrom('tds_audit_log').select(['action', 'result', 'detail']).where('target', '=', target).execute();

/** The number in the metrics, which must be that of SQL, of both keys and of the list. */
async function openDeadLetters(t: Test): Promise<number> {
  const { queue } = await get('/dashboard/metrics');
  const { rows } = await pool.query(`select count(*)::int as n from tds_sync_queue where status = 'dead_letter'`);
  const list = await api.inject({ url: '/dashboard/dead-letter', headers: as('viewer') });
  t.same(
    [queue.dead_letter_count, rows[0].n, list.json().length, Number(list.headers['x-total-count'])],
    Array(4).fill(queue.by_status.dead_letter),
    'all counts agree',
  );
  return queue.by_status.dead_letter;
}

t.test('a discarded dead letter leaves list and counts, and a restore brings it back as it was', async (t) => {
  const id = await addDeadLetter(db);
  await addDeadLetter(db);
  const before = await get(`/dashboard/dead-letter/${id}`);
  t.match((await post(`/dashboard/dead-letter/${id}/discard`, { reason: 'garbage' })).json(), {
    success: true,
    event_id: id,
  });
  t.equal(await openDeadLetters(t), 1);
  t.match(await get('/dashboard/dead-letter?state=discarded'), [
    { id, discarded_by: 'operator', discard_reason: 'garbage', payload: { contact_id: '1' } },
  ]);
  t.match(await get(`/dashboard/events/${id}`), {
    discarded: { by: 'operator', reason: 'garbage' },
    waits_for: { reason: 'discarded', sentence: /operator discarded it at .* can be restored for 30 days/ },
    deeds: [{ action: 'dead_letter.discard', result: 'discarded' }],
  });
  for (const url of [`/dashboard/dead-letter/${id}/retry`, `/api/admin/events/${id}/replay`])
    t.match((await post(url)).json(), { status: 409, code: 'discarded' });
  t.match((await post(`/dashboard/dead-letter/${id}/discard`, { reason: 'x' })).json(), { status: 409 });

  t.match((await post(`/dashboard/dead-letter/${id}/restore`)).json(), { success: true, event_id: id });
  t.equal(await openDeadLetters(t), 2);
  t.same(await get(`/dashboard/dead-letter/${id}`), before, 'also the time at which it died');
  t.match((await post(`/dashboard/dead-letter/${id}/restore`)).json(), { status: 409, code: 'not_discarded' });
  t.equal((await post(`/dashboard/dead-letter/${id}/retry`)).statusCode, 200);
  t.equal(await statusOf(pool, id), 'pending 0');
});

t.test('what an operator quarantined comes back in quarantine', async (t) => {
  const id = await addDeadLetter(db);
  await post(`/dashboard/dead-letter/${id}/retry`);
  await post(`/api/admin/events/${id}/quarantine`, { reason: 'twice' });
  await post(`/dashboard/dead-letter/${id}/discard`, { reason: 'garbage' });
  await post(`/dashboard/dead-letter/${id}/restore`);
  t.match(await get(`/dashboard/dead-letter/${id}`), { kind: 'quarantined', quarantined_by: 'operator' });
});

t.test('many are discarded by a filter, after a plan', async (t) => {
  for (let n = 0; n < 3; n += 1) await addDeadLetter(db);
  const other = await addDeadLetter(db);
  await pool.query(`update tds_dead_letter_queue set error_tag = 'NetworkError' where id = $1`, [other]);
  const body = { filter: { error_tag: 'TimeoutError' }, reason: 'a test in the sandbox' };
  t.match((await post('/dashboard/dead-letter/discard?dry_run=true', body)).json(), { count: 3 });
  t.equal(await openDeadLetters(t), 4, 'a plan changes nothing');
  t.same((await post('/dashboard/dead-letter/discard', body)).json(), { discarded: 3, finished: true });
  t.match(await get('/dashboard/dead-letter'), [{ id: other }]);
  t.match((await post('/dashboard/dead-letter/discard', { reason: 'x' })).json(), { status: 400 });
  t.match((await post('/dashboard/dead-letter/discard', { filter: { tag: 'x' }, reason: 'x' })).json(), {
    status: 400,
  });
});

t.test('an edit makes a new event, names who, why and what, and keeps the bytes of the original', async (t) => {
  const id = await addDeadLetter(db, RECORD);
  const body = `{"reason":"misspelt in Zoho","record":${CONTACT}}`;
  const difference = [{ path: '/contact_name', before: 'Exmaple', after: 'Example' }];

  const planned = (await post(`/dashboard/dead-letter/${id}/edit?dry_run=true`, body)).json();
  t.match(planned, { queue_id: null, original_id: id });
  t.match(planned.difference.at(-1), difference[0]);
  t.equal(await openDeadLetters(t), 1, 'a dry run changes nothing');

  const edited = (await post(`/dashboard/dead-letter/${id}/edit`, body)).json();
  t.match(edited, { success: true, message: 'Edited event moved to processing queue', original_id: id });
  t.equal(await openDeadLetters(t), 0);
  const { rows } = await pool.query(
    'select event_id, source, payload::text as payload from tds_inbox_payloads order by event_id = $1',
    [edited.queue_id],
  );
  t.same(rows, [
    { event_id: id, source: 'webhook', payload: RECORD },
    { event_id: edited.queue_id, source: 'operator', payload: CONTACT },
  ]);
  t.match(await get(`/dashboard/events/${id}`), {
    edited_into: { event_id: edited.queue_id, author: 'operator', reason: 'misspelt in Zoho' },
    waits_for: { reason: 'discarded', event_id: edited.queue_id, sentence: new RegExp(edited.queue_id) },
    deeds: [{ action: 'dead_letter.edit' }, { action: 'dead_letter.edit', result: 'edited' }],
  });
  t.match(await get(`/dashboard/events/${edited.queue_id}`), {
    status: 'pending',
    delivery: { source: 'operator' },
    edit_of: { original_id: id, author: 'operator', difference: planned.difference },
  });
  t.notMatch(JSON.stringify(await auditOf(id)), 'Example', 'the audit log keeps no data of a customer');
  t.match((await post(`/dashboard/dead-letter/${id}/restore`)).json(), { status: 409, code: 'edited' });
  t.same(await get('/dashboard/dead-letter?state=discarded'), [], 'it cannot be restored, so it is not listed');
  t.match(await new Claimer(pool).claim(), [{ id: edited.queue_id, attempt: 1 }]);
});

t.test('numbers keep every digit, and the difference shows them as they are written', async (t) => {
  const id = await addDeadLetter(db, RECORD);
  const record = RECORD.replace('.10', '.25');
  const answer = await post(`/dashboard/dead-letter/${id}/edit?dry_run=true`, `{"reason":"x","record":${record}}`);
  t.match(answer.body, '"before":12345678901234567.10,"after":12345678901234567.25');
});

t.test('of edits, retries and discards at once one succeeds, and the others are told so', async (t) => {
  for (let n = 0; n < 5; n += 1) {
    const id = await addDeadLetter(db, RECORD);
    const body = `{"reason":"x","record":${CONTACT}}`;
    const answers = await Promise.all([
      post(`/dashboard/dead-letter/${id}/edit`, body),
      post(`/dashboard/dead-letter/${id}/edit`, body),
      post(`/dashboard/dead-letter/${id}/retry`),
      post(`/dashboard/dead-letter/${id}/discard`, { reason: 'x' }),
    ]);
    t.same(answers.map(({ statusCode }) => statusCode).sort(), [200, 409, 409, 409]);
  }
});

t.test('a delivery that was not understood is edited into one that is', async (t) => {
  const sent = await api.inject({ method: 'POST', url: '/webhooks/zoho-books/10/nonsense', payload: { a: 1 } });
  const { event_id: id } = sent.json();
  const without = await post(`/dashboard/dead-letter/${id}/edit`, `{"reason":"x","record":${CONTACT}}`);
  t.match(without.json(), { status: 422, code: 'unusable_record', detail: /unknown module 'nonsense'/ });
  t.equal(await openDeadLetters(t), 1);
  const body = `{"reason":"x","record":${CONTACT},"module":"contact"}`;
  const { difference, queue_id } = (await post(`/dashboard/dead-letter/${id}/edit`, body)).json();
  t.match(difference.slice(0, 2), [
    { path: 'event_type', before: /^nonsense/, after: /^contact\./ },
    { path: 'entity_id', before: null, after: '460000000026049' },
  ]);
  t.match(await get(`/dashboard/events/${queue_id}`), { entity_id: '460000000026049', status: 'pending' });
});

t.test('bad input is told what to do', async (t) => {
  const id = await addDeadLetter(db, RECORD);
  const deep = `{"reason":"x","record":{"a":${'['.repeat(20_000)}${']'.repeat(20_000)}}}`;
  const bodies = ['{', '{}', '{"reason":"x"}', '{"reason":"x","record":[]}', '{"reason":"","record":{}}', deep];
  for (const body of [...bodies, `{"reason":"x","record":${CONTACT},"modul":"contact"}`])
    t.match((await post(`/dashboard/dead-letter/${id}/edit`, body)).json(), { status: 400 }, body.slice(0, 40));
  for (const [deed, body] of [
    ['edit', `{"reason":"x","record":${CONTACT}}`],
    ['discard', '{"reason":"x"}'],
    ['restore', '{}'],
  ] as const) {
    const url = `/dashboard/dead-letter/${randomUUID()}/${deed}`;
    t.match((await post(url, body)).json(), { status: 404 });
    t.equal((await post(url, body, 'viewer')).statusCode, 403);
  }
  t.match((await post(`/dashboard/dead-letter/${id}/discard`)).json(), { status: 400 });
});
