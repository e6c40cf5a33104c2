/** From the outbox to a receiver: one message for a storm, at least once, under one key. */
import { spawn } from 'node:child_process';
import { createHmac } from 'node:crypto';
import path from 'node:path';
import { type Kysely, sql } from 'kysely';
import t from 'tap';
import { up as announceWorkflows } from '../../../migrations/0018_workflow_notices.ts';
import { evaluateAlerts } from '../../../src/monitor/alerts/evaluate.ts';
import { composeMessages, sendDue } from '../../../src/monitor/notify/deliver.ts';
import { notifier } from '../../../src/monitor/notify/notifier.ts';
import { queueTest } from '../../../src/monitor/notify/test-notification.ts';
import { silentLog, testDatabase, waitFor } from '../../helper.ts';
import { registerWorker } from '../../queue/engine.ts';
import { notifyConfig, startReceiver } from './receiver.ts';

const { db, pool, url } = await testDatabase(t);
const receiver = await startReceiver(t);
const toAlerts = notifyConfig({ ALERT_WEBHOOK_URL: receiver.url });
const toLifecycle = notifyConfig({ LIFECYCLE_WEBHOOK_URL: receiver.url });

t.beforeEach(async () => {
  await sql`truncate tds_alerts, tds_alert_pending, tds_outbox, tds_notifications, tds_queue_counts, tds_sync_queue,
    tds_workers, tds_processing_totals`.execute(db);
  await registerWorker(pool);
  receiver.received.length = 0;
  receiver.answer = (response) => response.writeHead(204).end();
});

t.test('an alert says what, since when, how many, why, what to type and where to read on', async (t) => {
  await setPending(1500);
  await evaluate();
  t.equal(await composeMessages(db, toAlerts), 1);
  await sendDue(db, 'alerts', toAlerts);
  const [{ message, headers } = { message: undefined, headers: undefined }] = receiver.received;
  t.match(message, {
    type: 'alert.firing',
    data: { count: 1, alerts: [{ change: 'firing', rule: 'queue_backlog_critical' }] },
  });
  for (const part of [
    /\[CRITICAL\] Queue Backlog Critical\* since 20\d\d-/,
    /1500 events are pending/,
    /Likely cause: No worker runs/,
    /Look: curl -s 'http:\/\/127\.0\.0\.1:8000\/dashboard\/queue-stats'/,
    /Runbook: .* docs\/runbook\.md#queue_backlog_critical/,
    /Acknowledge: curl -X POST 'http:\/\/127\.0\.0\.1:8000\/dashboard\/alerts\/[-0-9a-f]{36}\/acknowledge'/,
  ])
    t.match(message?.text, part);
  t.match(headers, {
    'content-type': 'application/json',
    'webhook-id': /^[-0-9a-f]{36}$/,
    'webhook-timestamp': /^\d{10}$/,
  });
  t.notOk(headers?.['webhook-signature'], 'without a secret there is no signature');

  await setPending(0);
  await evaluate();
  await composeMessages(db, toAlerts);
  await sendDue(db, 'alerts', toAlerts);
  t.match(receiver.received.at(-1)?.message, { type: 'alert.resolved', text: /RESOLVED, was CRITICAL/ });
});

t.test('a receiver can check who sent it, also while the secret is being changed', async (t) => {
  const keys = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
  const secrets = keys.map((key) => `whsec_${key.toString('base64')}`).join();
  const config = notifyConfig({ ALERT_WEBHOOK_URL: receiver.url, ALERT_WEBHOOK_SECRET: secrets });
  await queueTest(db, 'ann');
  await composeMessages(db, config);
  await sendDue(db, 'alerts', config);
  const [got] = receiver.received;
  const signed = `${got?.headers['webhook-id']}.${got?.headers['webhook-timestamp']}.${got?.body}`;
  const expected = keys.map((key) => `v1,${createHmac('sha256', key).update(signed).digest('base64')}`).join(' ');
  t.equal(got?.headers['webhook-signature'], expected);
});

t.test('1,000 dead letters are one notification, however many statements made them', async (t) => {
  for (let n = 0; n < 10; n += 1) await killEvents(100, n % 2 === 0 ? 'TimeoutError' : 'ConflictError');
  await composeMessages(db, toLifecycle);
  await sendDue(db, 'lifecycle', toLifecycle);
  t.equal(receiver.received.length, 1);
  t.match(receiver.received[0]?.message, {
    type: 'dead_letter.opened',
    data: { count: 1000, groups: [{ count: 500 }, { count: 500 }] },
    text: /1000 events became dead letters.*since 20/s,
  });
  t.notMatch(receiver.received[0]?.body, /secret-name/, 'the error itself stays in the house');
  await evaluate();
  await composeMessages(db, toAlerts);
  await sendDue(db, 'alerts', toAlerts);
  t.equal(receiver.received.length, 2, 'and the alerts that they fire are one more');
  const data: Record<string, unknown> = receiver.received[1]?.message.data ?? {};
  t.match(
    (data.alerts as { rule: string }[]).map(({ rule }) => rule),
    ['dead_letters_critical', 'rejected_events'],
  );
});

t.test('a storm is waited for, but not for ever', async (t) => {
  const config = notifyConfig({ LIFECYCLE_WEBHOOK_URL: receiver.url, ALERT_GROUP_SECONDS: '60' });
  await killEvents(1);
  t.equal(await composeMessages(db, config), 0, 'something may follow');
  await sql`update tds_outbox set created_at = now() - interval '121 seconds'`.execute(db);
  t.equal(await composeMessages(db, config), 1, 'nothing has come for two minutes');
  await killEvents(1);
  await sql`update tds_outbox set created_at = now() - interval '721 seconds'`.execute(db);
  await killEvents(1);
  t.equal(await composeMessages(db, config), 1, 'the first has waited for twelve');
});

t.test('a dead letter that dies again is announced again, one that is retried is not', async (t) => {
  await killEvents(1);
  await sql`truncate tds_outbox`.execute(db);
  await sql`update tds_sync_queue set status = 'pending'`.execute(db);
  t.same((await sql`select from tds_outbox`.execute(db)).rows, []);
  await sql`update tds_sync_queue set status = 'dead_letter', error_message = 'x', error_tag = 'NetworkError'`.execute(
    db,
  );
  const { rows } =
    await sql`select kind, body ->> 'error_tag' as tag, body -> 'count' as count from tds_outbox`.execute(db);
  t.same(rows, [{ kind: 'lifecycle', tag: 'NetworkError', count: 1 }]);
});

t.test('a workflow that fails is announced', async (t) => {
  const { rows } = await sql<{ found: boolean }>`select to_regclass('tds_workflows') is not null as found`.execute(db);
  if (!rows[0]?.found) {
    await sql`create table tds_workflows (id uuid primary key default gen_random_uuid(), name text, organization_id text,
      status text default 'running', payload jsonb, result jsonb, progress jsonb, started_by text)`.execute(db);
    await announceWorkflows(db as unknown as Kysely<unknown>);
  }
  await sql`insert into tds_workflows (name, organization_id, payload, progress, started_by)
            values ('Reconcile', '10', '{}', '{}', 'ann')`.execute(db);
  await sql`update tds_workflows set status = 'failed', result = '{"tag":"NetworkError","message":"secret"}'`.execute(
    db,
  );
  await composeMessages(db, toLifecycle);
  await sendDue(db, 'lifecycle', toLifecycle);
  t.match(receiver.received[0]?.message, {
    type: 'workflow.failed',
    data: { count: 1, groups: [{ error_tag: 'NetworkError', event_types: ['Reconcile'] }] },
    text: /1 workflow failed.*dashboard\/workflows\/[-0-9a-f]{36}/s,
  });
  t.notMatch(receiver.received[0]?.body, 'secret');
});

t.test('what nobody is to be told leaves the outbox', async (t) => {
  await killEvents(1);
  t.equal(await composeMessages(db, toAlerts), 0);
  t.same((await sql`select from tds_outbox`.execute(db)).rows, []);
});

t.test('a receiver that fails is asked again, later each time, with the same key', async (t) => {
  receiver.answer = (response) => response.writeHead(500).end();
  await queueTest(db, 'ann');
  await composeMessages(db, toAlerts);
  const waits: number[] = [];
  for (let n = 0; n < 3; n += 1) {
    t.match(await sendDue(db, 'alerts', toAlerts), [{ error: 'the receiver answered 500', attempts: n + 1 }]);
    t.same(await sendDue(db, 'alerts', toAlerts), [], 'not at once');
    waits.push(await secondsToNext());
    await comeRound();
  }
  t.ok(
    waits.every((seconds, n) => seconds > 10 * 2 ** n && seconds < 20 * 2 ** n),
    waits.join(),
  );
  receiver.answer = (response) => response.writeHead(200).end();
  t.match(await sendDue(db, 'alerts', toAlerts), [{ error: undefined }]);
  t.equal(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size, 1);
  await comeRound();
  t.same(await sendDue(db, 'alerts', toAlerts), [], 'delivered is delivered');
});

t.test('after three days of failures it is given up', async (t) => {
  receiver.answer = (response) => response.writeHead(503).end();
  await queueTest(db, 'ann');
  await composeMessages(db, toAlerts);
  await sql`update tds_notifications set created_at = now() - interval '3 days 1 minute'`.execute(db);
  t.match(await sendDue(db, 'alerts', toAlerts), [{ gaveUp: true }]);
  await comeRound();
  t.same(await sendDue(db, 'alerts', toAlerts), []);
});

t.test(
  'a process that is killed after it sent and before it could say so sends again, with the same key',
  async (t) => {
    await queueTest(db, 'ann');
    await composeMessages(db, toAlerts);
    const program = path.join(import.meta.dirname, 'sender.ts');
    const child = spawn(process.execPath, [program, url, receiver.url], { stdio: ['ignore', 'ignore', 'inherit'] });
    const gone = new Promise<string | null>((resolve) => child.on('exit', (_code, signal) => resolve(signal)));
    receiver.answer = (response, nth) => (nth === 1 ? child.kill('SIGKILL') : response.writeHead(204).end());
    t.equal(await gone, 'SIGKILL', 'it died in the gap');
    const { rows } = await sql`select attempts, delivered_at from tds_notifications`.execute(db);
    t.same(rows, [{ attempts: 1, delivered_at: null }]);
    await comeRound();
    t.match(await sendDue(db, 'alerts', toAlerts), [{ error: undefined, attempts: 2 }]);
    const [first, second] = receiver.received.map(({ headers, body }) => [headers['webhook-id'], body]);
    t.same(first, second);
  },
);

t.test('a receiver that hangs holds up nobody else', async (t) => {
  const other = await startReceiver(t);
  receiver.answer = () => {};
  const config = notifyConfig({ ALERT_WEBHOOK_URL: receiver.url, LIFECYCLE_WEBHOOK_URL: other.url });
  const part = notifier(db, silentLog, config);
  part.start?.();
  await queueTest(db, 'ann');
  await waitFor('the one that hangs', () => receiver.received.length > 0);
  await waitFor('the other one', () => other.received.length > 0);
  await killEvents(1);
  await waitFor('news for the other one', () => other.received.length > 1);
  receiver.answer = (response) => response.writeHead(204).end();
  await part.stop?.();
  const { rows } = await sql`select last_error from tds_notifications where channel = 'alerts'`.execute(db);
  t.match(rows, [{ last_error: /no answer within 10 s/ }]);
});

function evaluate() {
  return evaluateAlerts(db, { failureRateMinEvents: 20, watchedSeconds: 0 });
}

async function setPending(pending: number): Promise<void> {
  await sql`delete from tds_queue_counts`.execute(db);
  await sql`insert into tds_queue_counts (pending) values (${pending})`.execute(db);
}

async function killEvents(count: number, tag = 'TimeoutError'): Promise<void> {
  await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status, attempt_count, error_tag,
      error_message)
    select gen_random_uuid(), n, '10', 'contact.created', n, 'dead_letter', 3, ${tag}, 'secret-name'
    from generate_series(1, ${count}::int) n`.execute(db);
}

/** The time of the next attempt comes. */
async function comeRound(): Promise<void> {
  await sql`update tds_notifications set next_attempt_at = now()`.execute(db);
}

async function secondsToNext(): Promise<number> {
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from next_attempt_at - clock_timestamp())::float8 as seconds from tds_notifications`.execute(
    db,
  );
  return rows[0]?.seconds ?? 0;
}
