/** A handler that fails: three attempts, a dead letter, and the operator's way back, as the API shows it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import t, { type Test } from 'tap';
import { waitFor } from '../helper.ts';
import { sampleBody } from '../samples.ts';
import { end, startSystem, startWorker } from '../system.ts';
import { ask, deliver, mirrored, settled } from './zoho.ts';

type Counts = Record<'pending' | 'processing' | 'retry' | 'completed' | 'dead_letter', number>;
type Event = { id: string; status: string; attempt_count: number; error_message: string | null };
type DeadLetter = { id: string; last_error: string; attempt_count: number; retry_count: number; last_retry_at: string };

const handlers = mkdtempSync(path.join(tmpdir(), 'tds-handlers-'));
t.teardown(() => rmSync(handlers, { recursive: true }));
const installHandler = (body: string) =>
  writeFileSync(
    path.join(handlers, 'warehouse.mjs'),
    `export default { eventTypes: ['invoice.*'], async handle() { ${body} } };`,
  );

installHandler('throw new Error("no such warehouse")');
const settings = { HANDLERS_DIR: handlers, RETRY_BASE_SECONDS: '0.05', RETRY_MAX_SECONDS: '0.1' };
const system = await startSystem(t, settings);

const deadLetters = () => ask<DeadLetter[]>(system, '/dashboard/dead-letter?limit=10');
const retry = (id: string) => fetch(`${system.api.url}/dashboard/dead-letter/${id}/retry`, { method: 'POST' });

async function recentEvent(id: string): Promise<Event | undefined> {
  const events = await ask<Event[]>(system, '/dashboard/recent-events?limit=10');
  return events.find((event) => event.id === id);
}

/** The counts of the API, which must be those of SQL and of the lists. */
async function agreedCounts(t: Test): Promise<Counts> {
  const { total: _, ...stats } = await ask<Counts & { total: number }>(system, '/dashboard/queue-stats');
  const { queue } = await ask<{ queue: { by_status: Counts; dead_letter_count: number } }>(
    system,
    '/dashboard/metrics',
  );
  t.same(queue.by_status, stats, 'metrics and queue statistics agree');
  const { rows } = await system.pool.query('select status, count(*)::int as n from tds_sync_queue group by status');
  const none = { pending: 0, processing: 0, retry: 0, completed: 0, dead_letter: 0 };
  t.same({ ...none, ...Object.fromEntries(rows.map(({ status, n }) => [status, n])) }, stats, 'and SQL with them');
  t.equal(queue.dead_letter_count, stats.dead_letter);
  t.equal((await deadLetters()).length, stats.dead_letter, 'and the list');
  const failed = await ask<Event[]>(system, '/dashboard/recent-events?limit=10&status_filter=failed');
  t.equal(failed.length, stats.dead_letter + stats.retry, 'and the filter');
  return stats;
}

let id = '';

t.test('a handler that fails three times makes a dead letter', async (t) => {
  const { event_id } = await deliver(system, { to: '/60', body: sampleBody('invoice.webhook') });
  await deliver(system, { to: '/60', body: sampleBody('bill.webhook') });
  await settled(system);
  t.match(await recentEvent(event_id), { status: 'dead_letter', attempt_count: 3, error_message: 'no such warehouse' });
  const logs = await system.pool.query('select status from tds_sync_logs where queue_id = $1 order by created_at', [
    event_id,
  ]);
  t.same(
    logs.rows.map(({ status }) => status),
    ['retry', 'retry', 'dead_letter'],
    'each attempt has its log row',
  );
  const [letter] = await deadLetters();
  t.match(letter, { last_error: 'no such warehouse', attempt_count: 3, retry_count: 0, last_retry_at: null });
  t.match(await agreedCounts(t), { completed: 1, dead_letter: 1 });
  t.same(
    (await mirrored(system, '60')).map(({ module }) => module),
    ['bill'],
    'a failed event has no effect',
  );
  id = letter?.id ?? '';
});

t.test('a retry puts it back under its own id; if it fails again it returns with a higher retry_count', async (t) => {
  const answer = await retry(id);
  t.equal(answer.status, 200);
  t.same(await answer.json(), { success: true, message: 'Event moved from DLQ to processing queue', queue_id: id });
  t.ok(await recentEvent(id), 'recent-events knows the id of the dead letter');
  await settled(system);
  t.match(await deadLetters(), [{ id, retry_count: 1, last_retry_at: /^\d{4}-/ }]);
  t.match(await agreedCounts(t), { completed: 1, dead_letter: 1 });
});

t.test('of two retries at once one succeeds and the other is told so', async (t) => {
  const answers = await Promise.all([retry(id), retry(id)]);
  t.same(answers.map(({ status }) => status).sort(), [200, 409]);
  await settled(system);
  t.match(await deadLetters(), [{ id, retry_count: 2 }]);
});

t.test('with the handler mended a retry completes it, and it leaves the list', async (t) => {
  await end(system.worker.child, 'SIGTERM');
  installHandler('');
  system.worker = await startWorker(t, { ...settings, DATABASE_URL: system.url });
  t.equal((await retry(id)).status, 200);
  const completed = await waitFor('the event to be completed', async () => {
    const event = await recentEvent(id);
    return event?.status === 'completed' && event;
  });
  t.match(completed, { attempt_count: 1, error_message: null });
  t.match(await agreedCounts(t), { completed: 2, dead_letter: 0 });
  t.same(
    (await mirrored(system, '60')).map(({ module }) => module),
    ['bill', 'invoice'],
    'now it has its effect',
  );
  t.equal((await retry(id)).status, 409, 'there is nothing left to retry');
});
