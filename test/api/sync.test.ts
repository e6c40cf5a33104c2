/** The sync monitoring guide, operation by operation. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { readWorkflowFacts } from '../../src/monitor/alerts/workflow-facts.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { arrive, Claimer, registerWorker, SUCCESS } from '../queue/engine.ts';
import { as, OPERATORS, testApi } from './client.ts';

const { api, db, pool } = await testApi(t, { operators: OPERATORS, syncChangedCron: '*/5 * * * *' });

type Run = {
  name?: string;
  organizationId?: string;
  status?: 'running' | 'completed' | 'failed' | 'terminated';
  /** Begin and end, in minutes ago. */
  began?: number;
  ended?: number;
  records?: number;
  tag?: string;
};

async function addRun({ name = 'SyncChanged', organizationId = '10', status = 'completed', ...rest }: Run) {
  const { began = 10, ended = began - 1, records = 60, tag = 'NetworkError' } = rest;
  const result = status === 'failed' ? { message: 'no answer', tag, cause: [{ name: 'Error', status: 503 }] } : {};
  const { rows } = await pool.query<{ id: string }>(
    `with run as (
       insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by, created_at, updated_at)
       values ($1, $2, $3, '{}', $4, jsonb_build_object('records', $5::int), 'schedule',
         now() - $6::float8 * interval '1 minute', now() - $7::float8 * interval '1 minute') returning id)
     insert into tds_workflow_activities (workflow_id, name, position, status, attempt, started_at, completed_at, output)
     select id, 'invoice begin', 1, 'completed', 3, now(), now(),
       '{"since":"2026-01-01T00:00:00.000Z","started_at":"2026-01-02T00:00:00.000Z"}' from run returning workflow_id as id`,
    // It fails once it has an activity, as runs do.
    [name, organizationId, status === 'failed' ? 'paused' : status, JSON.stringify(result), records, began, ended],
  );
  const id = rows[0]?.id ?? '';
  if (status === 'failed') await pool.query(`update tds_workflows set status = 'failed' where id = $1`, [id]);
  return id;
}

async function process(count: number, outcome: Outcome, eventType = 'invoice.updated'): Promise<string[]> {
  const ids = await arrive(
    pool,
    Array.from({ length: count }, () => randomUUID()),
    { organizationId: '10', eventType },
  );
  const claimer = new Claimer(pool, await registerWorker(pool));
  await claimer.end(await claimer.claim({ limit: count }), outcome);
  // So that the next call gets its own events.
  await pool.query(`update tds_sync_queue set run_at = now() + interval '90 seconds' where status = 'retry'`);
  return ids;
}
const FAILS: Outcome = { kind: 'failed', tag: 'TimeoutError', message: 'slow', permanent: false };
const DIES: Outcome = { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true };

async function get(path: string) {
  const answer = await api.inject({ url: `/dashboard/sync/${path}`, headers: as('viewer') });
  t.equal(answer.statusCode, 200, answer.body.slice(0, 300));
  return answer.json();
}

t.beforeEach(async () => {
  await pool.query(`truncate tds_workflows, tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_sync_logs,
    tds_dead_letter_queue, tds_failures, tds_alerts, tds_pull_marks, books_records, tds_metrics_periods, tds_metrics_changes cascade`);
});

t.test('with nothing done yet every key is there', async (t) => {
  t.match(await get('health'), {
    ...{ service: 'zoho_books', status: 'unknown', last_sync: null, consecutive_failures: 0, is_healthy: true },
    metrics: { total_syncs: 0, success_rate: null, average_duration: null, active_errors: 0 },
    ...{ alerts: [], organizations: [], freshness: [] },
  });
  t.match(await get('overview'), {
    overview: { status: 'unknown', last_sync: null, uptime: null, items_in_database: 0 },
    performance: { last_sync_duration: 'N/A', average_sync_time: 'N/A', sync_frequency: '5 minutes' },
    recent_activity: [],
  });
  t.match(await get('metrics'), { period: 'hour', metrics: { length: 24 }, summary: { total_syncs: 0 } });
  t.match(await get('timeline'), { period: 'Last 24 hours', total_syncs: 0, timeline: { length: 24 } });
  t.same(await get('errors'), { total: 0, unresolved: 0, by_type: {}, errors: [] });
  t.match(await get('performance'), { sample_size: 0, performance: { min: null, p95: null }, is_degraded: false });
  t.same(await get('events'), []);
  t.same(await get('webhooks'), []);
});

t.test('records successful and failed sync events, with what they took and found', async (t) => {
  const good = await addRun({ name: 'SyncAll', began: 30, ended: 29 });
  const bad = await addRun({ status: 'failed', began: 20 });
  await addRun({ name: 'ReconcileInvoices', status: 'running', began: 10 });
  await process(1, SUCCESS);
  const events = await get('events');
  t.match(
    events.map(({ sync_type, status }: Record<string, string>) => `${sync_type} ${status}`),
    ['webhook success', 'reconcile started', 'incremental failed', 'full success'],
  );
  t.match(events[3], {
    ...{ id: good, service: 'zoho_books', duration_ms: 60_000, duration: '60000ms', items_processed: 60 },
    ...{ items_per_second: '1.00', error_message: null, sync_token_before: '2026-01-01T00:00:00.000Z' },
    sync_token_after: '2026-01-02T00:00:00.000Z',
  });
  t.match(events[2], { id: bad, error_message: 'no answer', error_code: 'NetworkError', sync_token_after: null });
  t.match(events[1], { completed_at: null, duration: 'N/A' });
  t.match(await get('events?status=failed'), { length: 1, 0: { id: bad } });
  t.match(await get('events?type=full'), { length: 1, 0: { id: good } });
  t.match(await get('events?limit=2'), { length: 2 });
});

t.test('webhooks are those that came as webhooks, by how they stand', async (t) => {
  await process(2, SUCCESS);
  await process(1, FAILS);
  await process(1, DIES);
  await arrive(pool, ['w']);
  await arrive(pool, ['p'], { source: 'pull' });
  const statuses = async (query = '') =>
    (await get(`webhooks${query}`)).map(({ status }: { status: string }) => status).toSorted();
  t.equal((await statuses()).length, 5, 'the pulled one is none');
  t.same(await statuses('?status=failed'), ['failed', 'failed']);
  t.same(await statuses('?status=started'), ['started']);
  t.equal(
    (await statuses('?status=success')).every((status: string) => status === 'success'),
    true,
  );
});

t.test('tracks consecutive failures of each organization: unhealthy from the third on', async (t) => {
  await addRun({ began: 60 });
  await addRun({ status: 'failed', began: 50 });
  t.match(await get('health'), { status: 'degraded', consecutive_failures: 1, is_healthy: true });
  await addRun({ status: 'failed', began: 40 });
  t.match(await get('health'), { status: 'degraded', consecutive_failures: 2, is_healthy: true });
  await addRun({ status: 'failed', began: 30 });
  await addRun({ organizationId: '20', name: 'SyncAll', began: 35 });
  t.match(await get('health'), {
    ...{ status: 'unhealthy', consecutive_failures: 3, is_healthy: false, last_sync: String },
    next_sync: /T\d\d:[0-5][05]:00/,
    metrics: { total_syncs: 5, success_rate: '40.00', average_duration: 60_000, active_errors: 3 },
    organizations: [
      { organization_id: '10', status: 'unhealthy', consecutive_failures: 3, last_full_sync: null },
      { organization_id: '20', status: 'healthy', consecutive_failures: 0, last_full_sync: String },
    ],
  });
  await addRun({ began: 20 });
  t.match(await get('health'), { status: 'healthy', consecutive_failures: 0, last_incremental_sync: String });
});

t.test('says how fresh each module is', async (t) => {
  await pool.query(`insert into tds_pull_marks (organization_id, module, known_until, first_pulled_at, run_id)
    values ('10', 'invoice', now() - interval '1 hour', now() - interval '1 hour', gen_random_uuid())`);
  await process(1, SUCCESS, 'contact.created');
  const { freshness } = await get('health');
  t.match(freshness, [
    { organization_id: '10', module: 'contact', pulled_until: null, last_event_hour: String },
    { organization_id: '10', module: 'invoice', pulled_until: String, last_event_hour: null },
  ]);
  t.ok(freshness[1].age_seconds >= 3600);
});

t.test('aggregates metrics accurately, per hour, day and week', async (t) => {
  await process(6, SUCCESS);
  await process(2, SUCCESS, 'contact.created');
  await process(1, FAILS);
  await process(1, DIES);
  await addRun({ began: 2, ended: 0 });
  for (const period of ['hour', 'day', 'week']) {
    const { metrics, summary } = await get(`metrics?period=${period}&limit=3`);
    t.equal(metrics.length, 3);
    t.match(summary, {
      ...{ total_syncs: 11, successful_syncs: 9, failed_syncs: 2, success_rate: '81.82', error_rate: '18.18' },
      ...{ items_synced: 8, received: 10, dead: 1, runs: 1, average_duration: /^\d+ms$/ },
    });
  }
  t.match(await get('metrics?module=contact'), { summary: { total_syncs: 2, items_synced: 2, runs: 0 } });
  t.match(await get('metrics?organization_id=20'), { summary: { total_syncs: 0, success_rate: null } });
  const timeline = await get('timeline?hours=2');
  t.match(timeline, { period: 'Last 2 hours', total_syncs: 11, successful_syncs: 9, failed_syncs: 2 });
  t.equal(
    timeline.timeline.reduce((sum: number, { total }: { total: number }) => sum + total, 0),
    11,
  );
  t.match(await get('overview'), { overview: { uptime: '100.00' } });
});

t.test('errors have a type, retries and when the next one comes', async (t) => {
  const run = await addRun({ status: 'failed', tag: 'ServiceUnavailableError' });
  await process(1, FAILS);
  await process(1, DIES);
  const report = await get('errors');
  t.match(report, {
    ...{ total: 3, unresolved: 3 },
    by_type: { ServiceUnavailableError: 1, TimeoutError: 1, ValidationError: 1 },
  });
  const ofType = (type: string) => report.errors.find((error: { error_type: string }) => error.error_type === type);
  t.match(ofType('TimeoutError'), { kind: 'event', retry_count: 1, next_retry_at: String, next_retry_in: /^\d+ s$/ });
  t.match(ofType('ValidationError'), { next_retry_at: null, resolved_at: null, time_ago: /ago$/ });
  t.match(ofType('ServiceUnavailableError'), {
    id: run,
    kind: 'run',
    retry_count: 2,
    next_retry_at: null,
    error_details: { activity: 'invoice begin', causes: [{ name: 'Error', status: 503 }], response_status: 503 },
  });
});

t.test('an error is resolved by an operator, or by the next run that succeeds', async (t) => {
  const resolve = (id: string, name = 'operator') =>
    api.inject({ method: 'POST', url: `/dashboard/sync/errors/${id}/resolve`, headers: as(name) });
  const first = await addRun({ status: 'failed', began: 30 });
  t.equal((await resolve(first, 'viewer')).statusCode, 403);
  t.match((await readWorkflowFacts(db)).failedForNow, [{ value: 1 }], 'the alert sees it');
  t.match((await resolve(first)).json(), { success: true, error_id: first });
  t.match((await readWorkflowFacts(db)).failedForNow, [], 'and not any more');
  t.match((await resolve(first)).json(), { status: 409, code: 'already_resolved' });
  t.match(await get('errors'), { unresolved: 0, errors: [] });
  t.match(await get('errors?include_resolved=true'), { total: 1, errors: [{ id: first, resolved_at: String }] });
  const { rows } = await pool.query(
    `select operator, result from tds_audit_log where action = 'sync.resolve_error'
    and target = $1 and result <> 'denied' order by id`,
    [first],
  );
  t.same(rows, [
    { operator: 'operator', result: 'resolved' },
    { operator: 'operator', result: 'already' },
  ]);

  const second = await addRun({ status: 'failed', began: 20 });
  t.match(await get('errors'), { unresolved: 1, errors: [{ id: second }] });
  await addRun({ began: 10 });
  t.match(await get('errors'), { unresolved: 0, errors: [] });

  const [dead] = await process(1, DIES);
  t.match((await resolve(dead ?? '')).json(), { status: 409, detail: /Retry or discard its dead letter/ });
  t.match((await resolve(randomUUID())).json(), { status: 404 });
});

t.test('the error of a run that is retried stays until the run has ended, and is kept as resolved', async (t) => {
  for (const end of ['completed', 'terminated']) {
    const id = await addRun({ name: end === 'completed' ? 'SyncAll' : 'Reconcile', status: 'failed', began: 30 });
    await pool.query(`update tds_workflows set status = 'running', result = null, updated_at = now() where id = $1`, [
      id,
    ]);
    const error = { id, error_message: 'no answer', error_type: 'NetworkError', retry_count: 2 };
    t.match(await get('errors'), { unresolved: 1, errors: [{ ...error, resolved_at: null }] });
    await pool.query(`update tds_workflows set status = $1, result = '{}', updated_at = now() where id = $2`, [
      end,
      id,
    ]);
    t.match(await get('errors'), { unresolved: 0, errors: [] });
    const { errors } = await get('errors?include_resolved=true');
    t.match(
      errors.find((other: { id: string }) => other.id === id),
      { ...error, resolved_at: String },
    );
  }
  t.match(await get('health'), { last_failed_sync: String });
});

t.test('an activity that waits for its next attempt is an error of its run', async (t) => {
  const id = await addRun({ status: 'running' });
  await pool.query(
    `insert into tds_workflow_activities (workflow_id, name, position, status, attempt, started_at, error, next_attempt_at)
     values ($1, 'invoice page 1', 2, 'retry', 3, now(), $2, now() + interval '4 seconds')`,
    [id, { message: 'no answer', tag: 'TimeoutError', cause: [{ name: 'Error' }], stack: 'at call' }],
  );
  t.match(await get('errors'), {
    ...{ unresolved: 1, by_type: { TimeoutError: 1 } },
    errors: [
      {
        ...{ id, kind: 'run', retry_count: 3, next_retry_at: String, next_retry_in: /^\d+ s$/, resolved_at: null },
        error_details: { activity: 'invoice page 1', response_status: null, stack: 'at call' },
      },
    ],
  });
  await pool.query(`update tds_workflow_activities set status = 'running' where workflow_id = $1 and position = 2`, [
    id,
  ]);
  t.match(await get('errors'), { unresolved: 0, errors: [] });
});

t.test('a failed run that an operator retried and that fails again is an error again', async (t) => {
  const id = await addRun({ status: 'failed', began: 30 });
  await pool.query(`insert into tds_sync_resolutions values ($1, now() - interval '20 minutes', 'ann')`, [id]);
  t.match(await get('errors'), { unresolved: 0 });
  await pool.query('update tds_workflows set updated_at = now() where id = $1', [id]);
  t.match(await get('errors'), { unresolved: 1, errors: [{ id }] });
});

t.test('minimum, maximum, average, median and p95, altogether and by type', async (t) => {
  for (const minutes of [1, 2, 3, 10]) await addRun({ began: 20, ended: 20 - minutes, records: minutes });
  await addRun({ name: 'SyncAll', began: 50, ended: 20, records: 600 });
  await addRun({ status: 'failed' });
  t.match(await get('performance'), {
    sample_size: 5,
    performance: { min: 60_000, max: 1_800_000, average: 552_000, median: 180_000, p95: 1_560_000 },
    items_processed: { total: 616, average: 123.2 },
    performance_by_type: {
      incremental: { sample_size: 4, median: 150_000, items_processed: { total: 16, average: 4 } },
      full: { sample_size: 1, min: 1_800_000 },
    },
  });
});

t.test('identifies performance degradation against the week before', async (t) => {
  const DAY = 24 * 60;
  for (let n = 0; n < 5; n += 1) {
    await addRun({ began: 8 * DAY + n, ended: 8 * DAY + n - 1 });
    await addRun({ began: DAY + n, ended: DAY + n - 1 });
  }
  const incremental = async () => {
    const { is_degraded, degradation } = await get('performance');
    return { is_degraded, ...degradation.find(({ sync_type }: { sync_type: string }) => sync_type === 'incremental') };
  };
  t.match(await incremental(), {
    is_degraded: false,
    ratio: 1,
    is_slower: false,
    sample_size: 5,
    sample_size_before: 5,
  });
  for (let n = 0; n < 10; n += 1) await addRun({ began: DAY + n, ended: DAY + n - 2 });
  t.match(await incremental(), { is_degraded: true, ratio: 2, is_slower: true });
});

t.test('compares organizations and modules', async (t) => {
  await process(3, SUCCESS);
  await process(1, DIES, 'contact.created');
  t.match(await get('performance'), {
    by_organization: [{ organization_id: '10', total_syncs: 4, success_rate: '75.00', dead: 1 }],
    by_module: [
      { module: 'invoice', total_syncs: 3, success_rate: '100.00' },
      { module: 'contact', total_syncs: 1, success_rate: '0.00', dead: 1 },
    ],
  });
});

t.test('limits and words are checked', async (t) => {
  for (const query of [
    'events?limit=0',
    'events?limit=201',
    'events?status=ok',
    'metrics?period=month',
    'timeline?hours=169',
  ])
    t.equal((await api.inject({ url: `/dashboard/sync/${query}`, headers: as('viewer') })).statusCode, 400, query);
  t.equal((await api.inject('/dashboard/sync/health')).statusCode, 401);
});
