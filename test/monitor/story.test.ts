import { randomUUID } from 'node:crypto';
import t from 'tap';
import { TaggedError } from '../../src/errors.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { testApi } from '../api/client.ts';
import { arrive, Claimer, registerWorker } from '../queue/engine.ts';
import { attemptEach } from './errors/failing.ts';

const { api, db, pool } = await testApi(t);
const ENTITY = '/dashboard/entities/60000000001/invoice';

t.beforeEach(async () => {
  await pool.query(`truncate tds_sync_queue, tds_sync_logs, tds_dead_letter_queue, tds_failures, tds_inbox_events,
    tds_inbox_payloads, tds_workers, books_records, tds_zoho_quota, tds_zoho_calls`);
});

async function story(id: string | undefined) {
  return (await api.inject(`/dashboard/events/${id}`)).json();
}

async function waits(id: string | undefined): Promise<{ reason: string; sentence: string; event_id: string | null }> {
  return (await story(id)).waits_for;
}

t.test('an event tells of its delivery, its attempts and the deeds of operators', async (t) => {
  const [id] = await attemptEach(pool, ['7'], () => Promise.reject(new TaggedError('ValidationError', 'no "Jane" 7')));
  t.match(await story(id), {
    id,
    status: 'dead_letter',
    event_type: 'invoice.updated',
    delivery: { source: 'webhook', version: '2026-01-01T00:00:00.000Z', quarantine_reason: null },
    attempts: [{ attempt: 1, status: 'dead_letter', error_tag: 'ValidationError', message: 'no … …', handler: 'crm' }],
    dead_letter: { retry_count: 0, resolved_at: null },
    deeds: [],
    waits_for: { reason: 'dead', sentence: /waits for an operator/ },
  });
  const retried = await api.inject({ method: 'POST', url: `/dashboard/dead-letter/${id}/retry` });
  t.equal(retried.statusCode, 200);
  const later = await story(id);
  t.match(later.deeds, [{ operator: 'local', action: 'dead_letter.retry', result: 'retried' }]);
  t.match(later.dead_letter, { retry_count: 1 });
  t.match(later.attempts[0].fingerprint, /^[0-9a-f]{16}$/);
  const group = await api.inject(`/dashboard/errors/${later.attempts[0].fingerprint}`);
  t.equal(group.json().sample.event_id, id);
});

t.test('an event that an operator took out of the queue waits for its release, and not for a retry', async (t) => {
  const [id] = await arrive(pool, ['7']);
  const admin = { method: 'POST', url: `/api/admin/events/${id}` } as const;
  const taken = await api.inject({ ...admin, url: `${admin.url}/quarantine`, payload: { reason: 'Duplicate event' } });
  t.equal(taken.statusCode, 200);
  t.match(await waits(id), { reason: 'quarantined', sentence: /^local took it out .*\(Duplicate event\).*release/ });
  t.equal((await api.inject({ method: 'POST', url: `/dashboard/dead-letter/${id}/retry` })).statusCode, 409);
  await api.inject({ ...admin, url: `${admin.url}/release` });
  t.match(await waits(id), { reason: 'no_worker' });
});

t.test('an unknown event and a malformed id are told apart', async (t) => {
  t.equal((await api.inject(`/dashboard/events/${randomUUID()}`)).statusCode, 404);
  t.equal((await api.inject('/dashboard/events/7')).statusCode, 400);
});

t.test('a sentence says what is in the way of an event', async (t) => {
  const [first, second] = await arrive(pool, ['7', '7']);
  t.match(await waits(first), { reason: 'no_worker', sentence: /start tds-core-worker/ });
  const workerId = await registerWorker(pool);
  t.match(await waits(first), { reason: 'free_slot' });
  t.match(await waits(second), {
    reason: 'its_turn',
    event_id: first,
    sentence: new RegExp(`behind event ${first} .* pending`),
  });

  await pause(db, 'ann', 'moving house');
  t.match(await waits(first), { reason: 'paused', sentence: /paused by ann since 20.*: moving house\.$/ });
  await resume(db);

  const claimer = new Claimer(pool, workerId);
  const events = await claimer.claim();
  t.match(await waits(first), {
    reason: 'processing',
    sentence: new RegExp(`by worker ${workerId} \\(test, pid 1\\) since`),
  });
  t.match((await story(first)).lease, { worker_id: workerId, host: 'test' });
  t.match(await waits(second), {
    reason: 'its_turn',
    event_id: first,
    sentence: new RegExp(`processed by worker ${workerId}`),
  });

  await claimer.end(events, {
    kind: 'failed',
    tag: 'TimeoutError',
    message: 'slow',
    permanent: false,
    retryAfterSeconds: 60,
  });
  const retry = await story(first);
  t.match(retry.waits_for, {
    reason: 'retry',
    until: retry.next_attempt_at,
    sentence: /attempt 1 failed with TimeoutError/,
  });
  t.match(await waits(second), { reason: 'its_turn', event_id: first, sentence: /stands in retry/ });

  await pool.query(`update tds_sync_queue set status = 'completed' where id = $1`, [first]);
  t.match(await waits(first), { reason: 'done' });
  t.match(await waits(second), { reason: 'free_slot' });
});

t.test('what was given back says for which limit it waits', async (t) => {
  const worker = await registerWorker(pool);
  const [id] = await arrive(pool, ['7']);
  const release = async (tag: 'RateLimitError' | 'NetworkError') => {
    await pool.query('update tds_sync_queue set run_at = now()');
    await pool.query('update tds_queue_waiting set due = true');
    const claimer = new Claimer(pool, worker);
    await claimer.end(await claimer.claim(), { kind: 'released', seconds: 60, tag, message: 'wait' });
    return waits(id);
  };
  t.match(await release('RateLimitError'), { reason: 'rate_limit', sentence: /rate limit until 20/ });
  await pool.query(
    `insert into tds_zoho_quota (organization_id, paused_until) values ('60000000001', now() + interval '1 day')`,
  );
  t.match(await waits(id), { reason: 'quota', sentence: /Zoho quota is used up until/ });
  t.match(await release('NetworkError'), { reason: 'given_back', sentence: /uncharged after NetworkError/ });
});

t.test('an event whose worker died waits to run alone', async (t) => {
  await registerWorker(pool);
  const [id] = await arrive(pool, ['7']);
  await pool.query('update tds_sync_queue set suspect = true');
  t.match(await waits(id), { reason: 'suspect', sentence: /run alone/ });
});

t.test('a record tells of all its events, page by page, and of its mirrored state', async (t) => {
  const ids = await arrive(pool, ['7', '8', '7', '7']);
  await pool.query(`insert into books_records (organization_id, module, entity_id, version, record, source, received_at)
    values ('60000000001', 'invoice', '7', '2026-01-01', '{"customer_name":"Jane"}', 'webhook', now())`);
  const first = await api.inject(`${ENTITY}/7?limit=2`);
  const { mirrored, events } = first.json();
  t.match(mirrored, { version: '2026-01-01T00:00:00.000Z', complete: Boolean, deleted_at: null });
  t.same(
    events.map(({ id }: { id: string }) => id),
    [ids[3], ids[2]],
  );
  t.match(events[0], {
    status: 'pending',
    source: 'webhook',
    version: '2026-01-01T00:00:00.000Z',
    attempts: [],
    deeds: [],
  });
  const second = await api.inject(`${ENTITY}/7?limit=2&cursor=${first.headers['x-next-cursor']}`);
  t.same(
    second.json().events.map(({ id }: { id: string }) => id),
    [ids[0]],
  );
  t.notOk(second.headers['x-next-cursor']);
  t.notMatch(first.body, /Jane/);
  t.equal((await api.inject(`${ENTITY}/999`)).statusCode, 404);
});
