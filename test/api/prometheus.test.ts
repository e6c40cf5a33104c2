import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { sql } from 'kysely';
import t from 'tap';
import { compactCounts } from '../../src/queue/counts.ts';
import { parseScrape, type Scrape } from '../prometheus-text.ts';
import { apiOn, as, OPERATORS, testApi } from './client.ts';

const TOKEN = 'scrape-token-0123456789';
const { api, db, pool } = await testApi(t, { operators: OPERATORS, metricsToken: [TOKEN] });
const scraper = { authorization: `Bearer ${TOKEN}` };

async function scrape(from = api): Promise<Scrape> {
  const answer = await from.inject({ url: '/metrics', headers: scraper });
  t.equal(answer.statusCode, 200);
  return parseScrape(answer.body);
}

/** Names of seeds 001 and 002, and what kind each is. */
const DOCUMENTED = {
  counter: [
    'http_requests_total',
    'http_errors_total',
    'webhook_events_total',
    'webhook_events_processed_total',
    'sync_operations_total',
    'job_failures_total',
    'zoho_api_calls_total',
    'zoho_api_errors_total',
    'processed_ops_total',
    'failed_ops_total',
    'backoff_events_total',
    'circuit_tripped_total',
    'retries_total',
    'conflicts_resolved_total',
  ],
  histogram: [
    'http_request_duration_seconds',
    'sync_operations_duration_seconds',
    'job_processing_duration_seconds',
    'zoho_api_call_duration_seconds',
    'database_query_duration_seconds',
    'avg_processing_time_ms',
  ],
  gauge: [
    'job_queue_depth',
    'database_connections_active',
    'pending_ops_gauge',
    'active_processors_gauge',
    'success_rate_percent',
    'failure_rate_per_min',
    'network_health_score',
  ],
};

t.test('every documented name is there from the first scrape on, with HELP and TYPE', async (t) => {
  const { metrics } = await scrape();
  for (const [type, names] of Object.entries(DOCUMENTED))
    for (const name of names) t.match(metrics.get(name), { type, help: /./ }, name);
  t.match(metrics.get('network_health_score')?.help, /100 \* \(1 - failed \/ ended\)/, 'with its formula');
});

t.test('the type of the answer is that of the text format', async (t) => {
  const answer = await api.inject({ url: '/metrics', headers: as('viewer') });
  t.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
});

t.test('the scrape token opens this route and no other', async (t) => {
  const status = async (url: string, headers: Record<string, string>) =>
    (await api.inject({ url, headers })).statusCode;
  t.equal(await status('/metrics', {}), 401);
  t.equal(await status('/metrics', { authorization: 'Bearer something-else' }), 401);
  t.equal(await status('/metrics', scraper), 200);
  t.equal(await status('/metrics', as('viewer')), 200);
  t.equal(await status('/dashboard/metrics', scraper), 401);
});

t.test('requests are counted by route pattern, whatever the path', async (t) => {
  const before = await scrape();
  const id = randomUUID();
  await api.inject({ url: `/dashboard/events/${id}`, headers: as('viewer') });
  await api.inject('/somebody@example.com/secret');
  const after = await scrape();
  const labels = { route: '/dashboard/events/:id', method: 'GET', status: '404' };
  t.equal(after.sum('http_requests_total', labels) - before.sum('http_requests_total', labels), 1);
  t.equal(after.sum('http_errors_total', labels) - before.sum('http_errors_total', labels), 1);
  t.equal(after.sum('http_requests_total', { route: 'unmatched' }), 1);
  const answer = await api.inject({ url: '/metrics', headers: scraper });
  t.notMatch(answer.body, id);
  t.notMatch(answer.body, 'example.com');
});

t.test('deliveries are counted by what became of them, and rejections by cause', async (t) => {
  const { api: guarded } = await apiOn(
    t,
    { db, pool },
    { operators: OPERATORS, metricsToken: [TOKEN], webhookToken: ['a-shared-secret'] },
  );
  const before = await scrape(guarded);
  const deliver = (payload: string, token = 'a-shared-secret') => {
    const headers = { 'content-type': 'application/json', 'x-zoho-webhook-token': token };
    return guarded.inject({ method: 'POST', url: '/webhooks/zoho-books/10/invoice/updated', headers, payload });
  };
  const invoice = '{"invoice":{"invoice_id":"7","last_modified_time":"2026-01-15T10:30:00Z"}}';
  await deliver(invoice);
  await deliver(invoice);
  await deliver('{"invoice":');
  await deliver(invoice, 'wrong-secret-wrong');
  const after = await scrape(guarded);
  const more = (name: string, labels: Record<string, string>) => after.sum(name, labels) - before.sum(name, labels);
  for (const result of ['queued', 'duplicate', 'quarantined', 'rejected'])
    t.equal(more('webhook_events_total', { result }), 1, result);
  t.equal(more('tds_webhook_rejections_total', { cause: 'wrong_token' }), 1);
});

const log = (status: string, durationMs: number, more: { attempt?: number; tag?: string; outcome?: string } = {}) =>
  db
    .insertInto('tds_sync_logs')
    .values({
      ...{ queue_id: randomUUID(), status: status as 'retry', duration_ms: durationMs, attempt: more.attempt ?? 1 },
      ...{ error_tag: more.tag ?? null, outcome: more.outcome ?? null },
    })
    .execute();

t.test('attempts are counted with their log rows, and stay when these are purged', async (t) => {
  const before = await scrape();
  await log('completed', 7);
  await log('completed', 70, { attempt: 2, outcome: 'stale' });
  await log('retry', 2000, { tag: 'TimeoutError' });
  await log('dead_letter', 700, { attempt: 3, tag: 'made up by hand' });
  await log('released', 1, { tag: 'RateLimitError' });
  const check = async (what: string) => {
    const after = await scrape();
    const more = (name: string, labels = {}) => after.sum(name, labels) - before.sum(name, labels);
    const expected: [name: string, labels: Record<string, string>, more: number][] = [
      ['processed_ops_total', {}, 2],
      ['failed_ops_total', {}, 2],
      ['retries_total', {}, 2],
      ['backoff_events_total', {}, 1],
      ['conflicts_resolved_total', { kind: 'stale_version' }, 1],
      ['job_failures_total', { error_tag: 'TimeoutError' }, 1],
      ['job_failures_total', { error_tag: 'UnknownError' }, 1],
      ['job_failures_total', { error_tag: 'RateLimitError' }, 0],
      ['webhook_events_processed_total', { result: 'dead_letter' }, 1],
      ['sync_operations_total', { operation: 'event', result: 'failed' }, 2],
      ['sync_operations_duration_seconds_count', { operation: 'event' }, 4],
      ['tds_attempts_total', { status: 'released' }, 1],
      ['job_processing_duration_seconds_count', {}, 4],
      ['avg_processing_time_ms_sum', {}, 2777],
      ['avg_processing_time_ms_bucket', { le: '10' }, 1],
      ['avg_processing_time_ms_bucket', { le: '50' }, 1],
      ['avg_processing_time_ms_bucket', { le: '100' }, 2],
      ['avg_processing_time_ms_bucket', { le: '500' }, 2],
      ['avg_processing_time_ms_bucket', { le: '1000' }, 3],
      ['avg_processing_time_ms_bucket', { le: '+Inf' }, 4],
    ];
    for (const [name, labels, value] of expected)
      t.equal(more(name, labels), value, `${what}: ${name} ${JSON.stringify(labels)}`);
  };
  await check('at once');
  await compactCounts(pool);
  await compactCounts(pool);
  await check('summed up');
  await db.deleteFrom('tds_sync_logs').execute();
  await check('purged');
});

t.test('an opened circuit and repaired records are counted where they are written', async (t) => {
  const before = await scrape();
  t.equal(before.sum('network_health_score'), 100, 'without calls nothing has failed');
  await sql`insert into tds_zoho_quota (organization_id, failures) values ('10', 4)`.execute(db);
  await sql`update tds_zoho_quota set failures = 5, paused_until = now() + interval '1 minute'`.execute(db);
  await sql`
    insert into tds_pull_verdicts (run_id, organization_id, module, verdict, records, agree, missing, extra, stale, different,
      repaired, incomplete, withheld_deletions, problems, started_at)
    values (gen_random_uuid(), '10', 'invoice', 'repaired', 10, 7, 1, 1, 1, 0, 3, 0, 0, '{}', now())`.execute(db);
  const after = await scrape();
  const more = (name: string, labels = {}) => after.sum(name, labels) - before.sum(name, labels);
  t.equal(more('circuit_tripped_total'), 1);
  t.equal(more('conflicts_resolved_total', { kind: 'repaired' }), 3);
  t.equal(after.sum('tds_circuit_open', { organization_id: '10' }), 1);
  t.equal(after.sum('network_health_score'), 0);
  await sql`update tds_zoho_quota set failures = 0, paused_until = null`.execute(db);
  await sql`insert into tds_zoho_totals (bucket, calls, failures) values (now(), 10, 0), (now(), 0, 3)`.execute(db);
  t.equal((await scrape()).sum('network_health_score'), 60, 'four of ten failed, with the one that opened the circuit');
});

t.test('every histogram is cumulative, and its last bucket is its count', async (t) => {
  const { metrics, series } = await scrape();
  for (const [name, { type }] of metrics) {
    if (type !== 'histogram') continue;
    const of = Map.groupBy(
      series.filter((one) => one.name === `${name}_bucket`),
      ({ labels: { le: _, ...labels } }) => JSON.stringify(labels),
    );
    for (const [labels, buckets] of of) {
      const counts = buckets.map(({ value }) => value);
      t.same(
        counts,
        counts.toSorted((a, b) => a - b),
        `${name} ${labels}`,
      );
      const limits = buckets.map(({ labels: { le = '' } }) => (le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le)));
      t.same(
        limits,
        limits.toSorted((a, b) => a - b),
        `${name} ${labels} in order`,
      );
      t.equal(limits.at(-1), Number.POSITIVE_INFINITY);
      const counted = series.find((one) => one.name === `${name}_count` && JSON.stringify(one.labels) === labels);
      t.equal(counted?.value, counts.at(-1));
    }
  }
});

t.test('two APIs tell the same, whichever of them served the requests', async (t) => {
  const { api: other } = await apiOn(t, { db, pool }, { operators: OPERATORS, metricsToken: [TOKEN] });
  const before = await scrape(other);
  await api.inject('/livez');
  await other.inject('/livez');
  await scrape(api);
  const [one, two] = [await scrape(other), await scrape(api)];
  for (const { sum } of [one, two])
    t.equal(
      sum('http_requests_total', { route: '/livez' }) - before.sum('http_requests_total', { route: '/livez' }),
      2,
    );
});

t.test('docs/prometheus.md has every metric, and no other', async (t) => {
  const document = readFileSync(new URL('../../docs/prometheus.md', import.meta.url), 'utf8');
  const rows = document.matchAll(/^\| (`[^|]+) \| (counter|gauge|histogram) \| .+ \|$/gm);
  const documented = [...rows].flatMap(([, names = '', type]) =>
    [...names.matchAll(/`(\w+)`/g)].map(([, name]) => `${name} ${type}`),
  );
  const { metrics } = await scrape();
  t.same(documented.toSorted(), [...metrics].map(([name, { type }]) => `${name} ${type}`).toSorted());
});
