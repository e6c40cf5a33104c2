/** The real processes: what they count survives restarts and SIGKILL, and never goes back. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import root, { type Test } from 'tap';
import { startRun } from '../src/workflows/start.ts';
import { waitFor } from './helper.ts';
import { parseScrape, type Scrape } from './prometheus-text.ts';
import { end, startApi, startSystem, startWorker } from './system.ts';
import { Books } from './zoho/books.ts';
import { StandIn } from './zoho/stand-in.ts';

/** How long the stand-in takes for a call. */
const CALL_MS = 20;

const system = await startSystem(root, { LEASE_SECONDS: '1' });
const { url } = system;
let { api, worker } = system;
let delivered = 0;
let before: Scrape | undefined;

root.test('counters only grow while workers and APIs restart and are killed', async (t) => {
  await deliver(t, 3);
  await scrape(t);
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await end(worker.child, signal);
    await scrape(t);
    await deliver(t, 2);
    worker = await startWorker(root, { DATABASE_URL: url, LEASE_SECONDS: '1' });
    await scrape(t);
    await end(api.child, signal);
    api = await startApi(root, { DATABASE_URL: url });
    await scrape(t);
    await deliver(t, 2);
  }
  const all = async () => (await scrape(t)).sum('processed_ops_total') === delivered;
  await waitFor('all to be processed and counted', all);
});

root.test('the statements of both processes are timed', async (t) => {
  for (const pool of ['inbox', 'operators', 'queue', 'handlers']) {
    const timed = async () => (await scrape(t)).sum('database_query_duration_seconds_count', { pool }) > 0;
    t.ok(await waitFor(`statements of ${pool}`, timed), pool);
  }
});

root.test('both services tell their release and how they are', async (t) => {
  const { series } = await scrape(t);
  for (const name of ['tds_build_info', 'tds_event_loop_lag_seconds', 'tds_process_resident_memory_bytes']) {
    const services = series.filter((one) => one.name === name).map(({ labels }) => labels.service);
    t.same(services.toSorted(), ['tds-core-api', 'tds-core-worker'], name);
  }
});

root.test('events taken back from a dead worker are counted', async (t) => {
  await end(worker.child, 'SIGKILL');
  worker = await startWorker(root, { DATABASE_URL: url, LEASE_SECONDS: '1' });
  const counted = async () => (await scrape(t)).sum('tds_lease_takeovers_total') > 0;
  t.ok(await waitFor('the takeover', counted));
});

root.test('calls of Zoho, their failures and what they pulled are as many as the stand-in counted', async (t) => {
  const standIn = await StandIn.start(t, {
    books: new Books().fill({ invoice: 30, item: 210 }),
    limits: { callsPerMinute: 1000 },
  });
  standIn.delay = () => new Promise((resolve) => setTimeout(resolve, CALL_MS));
  standIn.faults.next('error-503', /^\/items\?/, 1);
  standIn.faults.next('error-500', /^\/invoices\/\d/, 2);
  const dataDir = mkdtempSync(path.join(tmpdir(), 'tds-counted-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const schedule = { SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off', ZOHO_CALLS_PER_MINUTE: '1000' };
  await startWorker(t, { DATABASE_URL: url, TDS_DATA_DIR: dataDir, ...standIn.environment, ...schedule });
  await pull(standIn.organizationId, ['item', 'invoice']);

  const asked = { item: standIn.count(/^\/item(s|details)\b/), invoice: standIn.count(/^\/invoices\b/) };
  t.equal(asked.item + asked.invoice, standIn.requests.length);
  // The run itself is counted last.
  const { sum } = await waitFor('the run to be counted', async () => {
    const scraped = await scrape(t);
    return scraped.sum('sync_operations_total', { operation: 'SyncAll', result: 'completed' }) === 1 && scraped;
  });
  for (const [module, calls] of Object.entries(asked)) {
    t.equal(sum('zoho_api_calls_total', { module }), calls, module);
    t.equal(sum('zoho_api_call_duration_seconds_count', { module }), calls, module);
    t.equal(sum('zoho_api_call_duration_seconds_bucket', { module, le: '+Inf' }), calls, module);
    const seconds = sum('zoho_api_call_duration_seconds_sum', { module });
    t.ok(seconds >= (calls * (CALL_MS - 1)) / 1000, `${calls} calls of ${module} took ${seconds} s`);
  }
  t.equal(sum('zoho_api_calls_total'), standIn.requests.length);
  t.equal(sum('zoho_api_errors_total'), standIn.faults.happened.length);
  t.equal(sum('zoho_api_errors_total', { module: 'item', problem: 'unavailable' }), 1);
  t.equal(sum('zoho_api_errors_total', { module: 'invoice', problem: 'unavailable' }), 2);
  t.equal(
    sum('tds_pulled_pages_total', { module: 'item' }),
    standIn.count(/^\/items\?/) - 1,
    'a page that failed is none',
  );
  t.equal(sum('tds_pulled_pages_total', { module: 'invoice' }), standIn.count(/^\/invoices\?/));
  t.equal(sum('tds_pulled_records_total', { module: 'item' }), 210);
  t.equal(sum('tds_pulled_records_total', { module: 'invoice' }), 30);
});

/** Runs SyncAll of these modules to its end. */
async function pull(organizationId: string, modules: string[]): Promise<void> {
  const { db } = system;
  const request = {
    definition: { name: 'SyncAll' },
    organizationId,
    payload: { organization_id: organizationId, modules },
  };
  const { id } = await db.transaction().execute((trx) => startRun(trx, request, 'ann'));
  await waitFor('the run to complete', async () => {
    const run = await db.selectFrom('tds_workflows').select('status').where('id', '=', id).executeTakeFirst();
    return run?.status === 'completed';
  });
}

async function deliver(t: Test, times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    delivered += 1;
    const invoice = { invoice_id: String(delivered), last_modified_time: '2026-01-15T10:30:00Z' };
    const answer = await fetch(`${api.url}/webhooks/zoho-books/10/invoice/updated`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ invoice }),
    });
    t.equal(answer.status, 202);
  }
}

/** Scrapes, and sees that nothing has gone back or vanished since the scrape before. */
async function scrape(t: Test): Promise<Scrape> {
  // On a machine that is busy PostgreSQL may take longer than a scrape waits: then it says only that.
  const now = await waitFor('a scrape that PostgreSQL answered', async () => {
    const answer = await fetch(`${api.url}/metrics`);
    t.equal(answer.status, 200);
    const scraped = parseScrape(await answer.text());
    return scraped.sum('tds_database_up') === 1 && scraped;
  });
  for (const { name, labels, value } of before?.series ?? []) {
    const type = typeOf(now, name);
    if (type === 'gauge') continue;
    const after = now.sum(name, labels);
    if (after < value) t.fail(`${name} ${JSON.stringify(labels)} went back from ${value} to ${after}`);
  }
  before = now;
  return now;
}

function typeOf({ metrics }: Scrape, name: string): string | undefined {
  return (metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, '')))?.type;
}
