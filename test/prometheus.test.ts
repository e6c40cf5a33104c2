/** The real processes: what they count survives restarts and SIGKILL, and never goes back. */
import root, { type Test } from 'tap';
import { waitFor } from './helper.ts';
import { parseScrape, type Scrape } from './prometheus-text.ts';
import { end, startApi, startSystem, startWorker } from './system.ts';

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
