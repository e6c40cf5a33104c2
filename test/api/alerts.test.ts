/** Alerts, their history, notes, test notifications and the digest, as operators ask for them. */
import { sql } from 'kysely';
import t from 'tap';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { queueDigest } from '../../src/monitor/digest/send.ts';
import { composeMessages, sendDue } from '../../src/monitor/notify/deliver.ts';
import { notifyConfig, startReceiver } from '../monitor/notify/receiver.ts';
import { registerWorker } from '../queue/engine.ts';
import { addAlert, addDeadLetter, apiOn, as, OPERATORS, testApi } from './client.ts';

const receiver = await startReceiver(t);
const config = notifyConfig({ ALERT_WEBHOOK_URL: receiver.url, LIFECYCLE_WEBHOOK_URL: receiver.url });
const { api, db, pool } = await testApi(t, { ...config, operators: OPERATORS });

const get = async (url: string) => (await api.inject({ url, headers: as('viewer') })).json();
const post = (url: string, payload?: object) =>
  api.inject({ method: 'POST', url, headers: as('operator'), ...(payload ? { payload } : {}) });

t.beforeEach(async () => {
  await sql`truncate tds_alerts, tds_alert_pending, tds_outbox, tds_notifications, tds_sync_queue, tds_workers,
    tds_inbox_events, tds_inbox_payloads, tds_processing_totals`.execute(db);
  receiver.received.length = 0;
});

t.test('the list shows every state, and the history page by page', async (t) => {
  const ids = [await addAlert(db), await addAlert(db), await addAlert(db)];
  await sql`update tds_alerts set resolved_at = now() where id = ${ids[0]}`.execute(db);
  await post(`/dashboard/alerts/${ids[1]}/acknowledge`);
  await registerWorker(pool);
  await sql`insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 90, 10)`.execute(db);
  await evaluateAlerts(db, { failureRateMinEvents: 20, watchedSeconds: 0 });
  await sql`delete from tds_alerts where rule not like 'rule-%'`.execute(db);
  const all = await get('/dashboard/alerts');
  t.match(all.map(({ state }: { state: string }) => state).sort(), [
    'acknowledged',
    'firing',
    'pending',
    'pending',
    'resolved',
  ]);
  t.match(all[0], { state: 'pending', runbook: /^docs\/runbook\.md#error_rate_/, likely_cause: String });
  t.match(await get('/dashboard/alerts?state=acknowledged'), [{ id: ids[1] }]);
  const first = await api.inject({ url: '/dashboard/alerts?limit=2&state=firing', headers: as('viewer') });
  t.equal(first.headers['x-total-count'], '1');
  const pages: string[] = [];
  for (let cursor = ''; ; ) {
    const answer = await api.inject({ url: `/dashboard/alerts?limit=1${cursor}`, headers: as('viewer') });
    for (const { id, state } of answer.json()) if (state !== 'pending') pages.push(id);
    if (!answer.headers['x-next-cursor']) break;
    cursor = `&cursor=${answer.headers['x-next-cursor']}`;
  }
  t.same(pages.sort(), ids.sort());
});

t.test('an acknowledgement keeps its note', async (t) => {
  const id = await addAlert(db);
  const answer = await post(`/dashboard/alerts/${id}/acknowledge`, { note: ' Zoho is down, see their page ' });
  t.same(answer.json(), { success: true, message: 'Alert acknowledged' });
  const [alert] = await get('/dashboard/alerts?state=acknowledged');
  t.match(alert, { acknowledged_by: 'operator', acknowledgement_note: 'Zoho is down, see their page' });
  const metrics = await get('/dashboard/metrics');
  t.match(metrics.acknowledged_alerts, [{ id, acknowledgement_note: 'Zoho is down, see their page', labels: {} }]);
  const { rows } = await sql`select detail from tds_audit_log where target = ${id}`.execute(db);
  t.same(rows, [{ detail: { note: 'Zoho is down, see their page' } }]);
  const long = await post(`/dashboard/alerts/${await addAlert(db)}/acknowledge`, { note: 'x'.repeat(1001) });
  t.equal(long.statusCode, 400);
});

t.test('a test notification reaches every receiver', async (t) => {
  const answer = await post('/dashboard/alerts/test');
  t.match(answer.json(), { success: true, channels: ['alerts', 'lifecycle'] });
  await composeMessages(db, config);
  for (const channel of ['alerts', 'lifecycle'] as const) await sendDue(db, channel, config);
  t.match(
    receiver.received.map(({ message }) => message),
    [{ type: 'alert.test' }, { type: 'alert.test', text: /Nothing is wrong/ }],
  );
  t.equal((await api.inject({ method: 'POST', url: '/dashboard/alerts/test', headers: as('viewer') })).statusCode, 403);
});

t.test('without a receiver a test notification says what to set', async (t) => {
  const lonely = await apiOn(t, { db, pool });
  const answer = await lonely.api.inject({ method: 'POST', url: '/dashboard/alerts/test' });
  t.equal(answer.statusCode, 409);
  t.match(answer.json(), { code: 'no_receiver', detail: /ALERT_WEBHOOK_URL/ });
});

t.test('the digest compares with yesterday and last week, and says what to do', async (t) => {
  for (const [ago, arrived] of [
    ['1 hour', 7],
    ['25 hours', 5],
    ['169 hours', 3],
  ] as const)
    await sql`insert into tds_processing_totals (bucket, arrived, succeeded)
              values (now() - ${ago}::interval, ${arrived}, ${arrived})`.execute(db);
  await addDeadLetter(db);
  await addAlert(db);
  const digest = await get('/dashboard/digest?since=24h');
  t.match(digest, {
    counts: { arrived: 8, dead_letters: 1 },
    day_before: { arrived: 5, dead_letters: 0 },
    week_before: { arrived: 3 },
    now: { dead_letter: 1 },
    new_causes: [{ error_tag: 'TimeoutError', message: 'too slow', count: 1 }],
    alerts: [{ title: 'Queue Backlog Warning' }],
    to_do: [/^Queue Backlog Warning: /, /^Dead letters open: 1, causes: 1\./],
  });
  t.ok(
    digest.deeds.some((deed: { action: string }) => deed.action === 'alert.acknowledge'),
    'deeds of operators',
  );
  for (const request of [
    { url: '/dashboard/digest?format=text', headers: as('viewer') },
    { url: '/dashboard/digest', headers: { ...as('viewer'), accept: 'text/plain' } },
  ]) {
    const text = await api.inject(request);
    t.match(text.headers['content-type'], /^text\/plain/);
    t.match(text.body, /^Arrived: 8 \(day before 5, week before 3\)$/m);
  }
  for (const since of ['24', '0h', '32d', '1w'])
    t.equal(
      (await api.inject({ url: `/dashboard/digest?since=${since}`, headers: as('viewer') })).statusCode,
      400,
      since,
    );
});

t.test('of several workers one sends the morning digest, and error texts stay in the house', async (t) => {
  await addDeadLetter(db);
  await sql`delete from tds_outbox`.execute(db);
  await Promise.all([queueDigest(db), queueDigest(db), queueDigest(db)]);
  await queueDigest(db);
  await composeMessages(db, config);
  await queueDigest(db);
  await composeMessages(db, config);
  await sendDue(db, 'alerts', config);
  t.match(
    receiver.received.map(({ message }) => message.type),
    ['digest'],
  );
  t.equal(receiver.received.length, 1);
  t.match(receiver.received[0]?.message.text, /1 x TimeoutError/);
  t.notMatch(receiver.received[0]?.body, /too slow/);
});

t.test('the key metrics stand in their bands', async (t) => {
  const bands = async () =>
    Object.fromEntries(
      (await get('/dashboard/metrics')).key_metrics.map((one: { metric: string; band: string }) => [
        one.metric,
        one.band,
      ]),
    );
  t.same(await bands(), { pending: 'normal', processing: 'normal', dead_letter: 'normal', success_rate: 'normal' });
  const set = (pending: number, dead: number, failed: number) =>
    sql`with a as (delete from tds_queue_counts), b as (delete from tds_processing_totals),
      c as (insert into tds_processing_totals (bucket, succeeded, failed) values (now(), ${100 - failed}, ${failed}))
      insert into tds_queue_counts (pending, dead_letter) values (${pending}, ${dead})`.execute(db);
  await set(99, 9, 4);
  t.match(await bands(), { pending: 'normal', dead_letter: 'normal', success_rate: 'normal' });
  await set(500, 50, 10);
  t.match(await bands(), { pending: 'warning', dead_letter: 'warning', success_rate: 'warning' });
  await set(501, 51, 11);
  t.match(await bands(), { pending: 'critical', dead_letter: 'critical', success_rate: 'critical' });
});
