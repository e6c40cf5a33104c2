import { sql } from 'kysely';
import t from 'tap';
import { addAlert, addDeadLetter, as, OPERATORS, testApi } from './client.ts';

const UNKNOWN = '00000000-0000-4000-8000-000000000001';

t.test('metrics has every key of the operations guide on an empty system', async (t) => {
  const { api } = await testApi(t);
  const metrics = (await api.inject('/dashboard/metrics')).json();
  t.same(metrics.queue, {
    by_status: { pending: 0, processing: 0, retry: 0, completed: 0, dead_letter: 0 },
    oldest_pending_age_seconds: 0,
    dead_letter_count: 0,
    pause: { paused: false, paused_at: null, paused_by: null, reason: null, event_types: [] },
  });
  t.same(metrics.processing, {
    last_hour: { total_processed: 0, succeeded: 0, failed: 0, success_rate_percent: 100, avg_duration_seconds: 0 },
  });
  t.same(metrics.active_alerts, []);
  t.same(metrics.acknowledged_alerts, []);
  t.ok(metrics.database.active_connections > 0);
  const tables = metrics.database.table_sizes.map((table: { table_name: string }) => table.table_name);
  for (const name of ['tds_sync_queue', 'tds_inbox_events', 'books_records']) t.ok(tables.includes(name), name);
});

t.test('queue-stats has the five statuses and their total', async (t) => {
  const { api, db } = await testApi(t);
  await addDeadLetter(db);
  const stats = (await api.inject('/dashboard/queue-stats')).json();
  t.same(stats, { pending: 0, processing: 0, retry: 0, completed: 0, dead_letter: 1, total: 1 });
});

t.test('the last hour is summed up from the roll-ups', async (t) => {
  const { api, db } = await testApi(t);
  await sql`insert into tds_processing_totals (bucket, succeeded, failed, duration_ms) values (now(), 1000, 15, 2000000), (now(), 235, 0, 925000)`.execute(
    db,
  );
  const { last_hour } = (await api.inject('/dashboard/metrics')).json().processing;
  t.same(last_hour, {
    total_processed: 1250,
    succeeded: 1235,
    failed: 15,
    success_rate_percent: 98.8,
    avg_duration_seconds: 2.34,
  });
});

t.test('recent events', async (t) => {
  const { api, db } = await testApi(t);
  const dead = await addDeadLetter(db);
  for (let n = 1; n <= 5; n++) await sendInvoice(api, n);

  t.test('have the keys of the operations guide', async (t) => {
    const [event] = (await api.inject('/dashboard/recent-events?limit=1')).json();
    t.match(event, { event_type: 'invoice.updated', entity_id: '5', status: 'pending', attempt_count: 0, priority: 1 });
    for (const key of ['id', 'queued_at', 'started_at', 'completed_at', 'error_message']) t.ok(key in event, key);
    t.match(event.queued_at, /^\d{4}-.*Z$/);
  });

  t.test('are filtered by status in either case; failed means retry or dead letter', async (t) => {
    for (const filter of ['dead_letter', 'DEAD_LETTER', 'failed', 'FAILED']) {
      const events = (await api.inject(`/dashboard/recent-events?status_filter=${filter}`)).json();
      t.equal(events.length, 1, filter);
    }
    t.equal((await api.inject('/dashboard/recent-events?status_filter=pending')).json().length, 5);
  });

  t.test('come in pages that neither repeat nor leave out an event', async (t) => {
    await sql`update tds_sync_queue set queued_at = '2026-01-01T00:00:00.123456Z'`.execute(db);
    const seen: string[] = [];
    let cursor = '';
    do {
      const page: { json(): { id: string }[]; headers: object } = await api.inject(
        `/dashboard/recent-events?limit=2${cursor}`,
      );
      seen.push(...page.json().map((event) => event.id));
      const next = new Headers(page.headers as Record<string, string>).get('x-next-cursor');
      cursor = next ? `&cursor=${next}` : '';
    } while (cursor);
    t.equal(seen.length, 6);
    t.equal(new Set(seen).size, 6);
    t.ok(dead);
  });

  for (const query of ['status_filter=broken', 'limit=0', 'limit=201', 'limit=x', 'cursor=abc', 'limit=1&limit=2']) {
    t.test(`?${query} is refused with a problem`, async (t) => {
      const answer = await api.inject(`/dashboard/recent-events?${query}`);
      t.equal(answer.statusCode, 400);
      t.match(answer.json().code, /^invalid_/);
    });
  }
});

t.test('dead letters', async (t) => {
  const { api, db } = await testApi(t);
  const id = await addDeadLetter(db, '{"id":1234567890123456789,"total":10.10}');

  t.test('have the keys of the operations guide and keep every digit', async (t) => {
    const answer = await api.inject('/dashboard/dead-letter');
    t.match(answer.body, '"id":1234567890123456789,"total":10.10');
    const [letter] = answer.json();
    t.match(letter, { id, event_type: 'contact.created', attempt_count: 3, last_error: 'too slow', retry_count: 0 });
    t.same(letter.last_retry_at, null);
    for (const key of ['original_queue_id', 'entity_id', 'moved_to_dlq_at']) t.ok(letter[key], key);
  });

  t.test('retry answers as the operations guide prints and leaves an audit row', async (t) => {
    const answer = await api.inject({ method: 'POST', url: `/dashboard/dead-letter/${id}/retry` });
    t.equal(answer.statusCode, 200);
    t.same(answer.json(), {
      success: true,
      message: 'Event moved from DLQ to processing queue',
      queue_id: id,
    });
    const audit = await db.selectFrom('tds_audit_log').selectAll().where('target', '=', id).executeTakeFirst();
    t.match(audit, { operator: 'local', action: 'dead_letter.retry', result: 'retried' });
    t.equal(audit?.request_id, answer.headers['x-request-id']);
    t.same((await api.inject('/dashboard/dead-letter')).json(), []);
  });

  t.test('a second retry is a conflict, an unknown id is not found', async (t) => {
    const retry = (target: string) => api.inject({ method: 'POST', url: `/dashboard/dead-letter/${target}/retry` });
    t.equal((await retry(id)).statusCode, 409);
    t.equal((await retry(UNKNOWN)).statusCode, 404);
    t.equal((await retry('not-a-uuid')).statusCode, 400);
  });

  t.test('of two retries at once one succeeds', async (t) => {
    const both = await addDeadLetter(db);
    const url = `/dashboard/dead-letter/${both}/retry`;
    const answers = await Promise.all([api.inject({ method: 'POST', url }), api.inject({ method: 'POST', url })]);
    t.same(answers.map((answer) => answer.statusCode).sort(), [200, 409]);
  });
});

t.test('alerts', async (t) => {
  const { api, db } = await testApi(t, { operators: OPERATORS });
  const id = await addAlert(db);
  const acknowledge = (target: string, operator: string) =>
    api.inject({ method: 'POST', url: `/dashboard/alerts/${target}/acknowledge`, headers: as(operator) });

  t.test('acknowledging moves the alert out of active_alerts, and the first one stands', async (t) => {
    const answer = await acknowledge(id, 'operator');
    t.same(answer.json(), { success: true, message: 'Alert acknowledged' });
    t.equal((await acknowledge(id, 'admin')).statusCode, 200);
    const metrics = (await api.inject({ url: '/dashboard/metrics', headers: as('viewer') })).json();
    t.same(metrics.active_alerts, []);
    t.match(metrics.acknowledged_alerts, [{ id, acknowledged_by: 'operator', severity: 'warning' }]);
    const audit = await db.selectFrom('tds_audit_log').select(['operator', 'result']).orderBy('id').execute();
    t.same(audit, [
      { operator: 'operator', result: 'acknowledged' },
      { operator: 'admin', result: 'already' },
    ]);
  });

  t.test('a resolved one is a conflict, an unknown one is not found', async (t) => {
    await db.updateTable('tds_alerts').set({ resolved_at: new Date() }).where('id', '=', id).execute();
    t.equal((await acknowledge(id, 'operator')).statusCode, 409);
    t.equal((await acknowledge(UNKNOWN, 'operator')).statusCode, 404);
  });

  t.test('a viewer may not acknowledge, and the attempt is audited as denied', async (t) => {
    const other = await addAlert(db);
    const answer = await acknowledge(other, 'viewer');
    t.equal(answer.statusCode, 403);
    const audit = await db.selectFrom('tds_audit_log').selectAll().where('target', '=', other).executeTakeFirst();
    t.match(audit, { operator: 'viewer', action: 'alert.acknowledge', result: 'denied' });
  });
});

function sendInvoice(api: Awaited<ReturnType<typeof testApi>>['api'], n: number) {
  const payload = { invoice: { invoice_id: String(n), last_modified_time: '2026-10-31T10:00:00+0000' } };
  return api.inject({ method: 'POST', url: '/webhooks/zoho-books/10/invoice/updated', payload });
}
