/** Every read of the dashboard through the whole API: how long, how much processor, and whether the counts are exact. */
import type { Pool } from 'pg';
import { buildApp } from '../../src/api/app.ts';
import { loadConfig } from '../../src/config.ts';
import { stat } from '../../test/process-table.ts';
import { log, open } from '../engine.ts';
import { side } from '../side.ts';
import { percentile } from '../stats.ts';

/** Milliseconds of one call: the 95th percentile of its duration, and the processor time of API and PostgreSQL. */
export type Read = { path: string; p95: number; cpuMs: number };

export type Dashboard = {
  stats: Read;
  metrics: Read;
  exact: boolean;
  /** The slowest first. */
  others: Read[];
};

const EVENTS = '/dashboard/recent-events';
const SYNC = '/dashboard/sync';
const OTHERS = [
  EVENTS,
  ...['pending', 'processing', 'retry', 'completed', 'dead_letter', 'failed'].map(
    (status) => `${EVENTS}?status_filter=${status}`,
  ),
  '/dashboard/find-events?q=982000000004000000',
  ...['', '/groups', '/retries'].map((part) => `/dashboard/dead-letter${part}`),
  ...['errors', 'alerts', 'activity', 'audit', 'changes?module=invoice', 'completeness', 'digest', 'field-drift'].map(
    (name) => `/dashboard/${name}`,
  ),
  ...['health', 'webhooks/rejected', 'workers', 'workflows'].map((name) => `/dashboard/${name}`),
  ...['', '?status=started', '?status=failed', '?status=success'].map((query) => `${SYNC}/events${query}`),
  ...[
    'health',
    'metrics',
    'metrics?period=week&limit=50',
    'errors',
    'overview',
    'webhooks',
    'timeline',
    'performance',
  ].map((name) => `${SYNC}/${name}`),
  '/metrics',
];

side<{ url: string; requests: number }, Dashboard>(async ({ url, requests }) => {
  const { db, pool } = open(url, 10, false);
  const inbox = { accept: () => Promise.reject(new Error('no webhooks here')) };
  const api = await buildApp({ config: loadConfig({}), log, db, pool, inbox });
  const get = async (path: string) => {
    const response = await api.inject(path);
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${response.body}`);
    return response.body;
  };
  const read = async (path: string): Promise<Read> => {
    await get(path);
    const latencies: number[] = [];
    const before = await usedBy(pool);
    for (let n = 0; n < requests; n += 1) {
      const started = performance.now();
      await get(path);
      latencies.push(performance.now() - started);
    }
    return { path, p95: percentile(latencies, 95), cpuMs: processorMs(before, await usedBy(pool)) / requests };
  };
  const stats = await read('/dashboard/queue-stats');
  const metrics = await read('/dashboard/metrics');
  const others: Read[] = [];
  for (const path of OTHERS) others.push(await read(path));
  others.sort((a, b) => b.p95 - a.p95);
  const { rows } = await pool.query('select status, count(*)::int as n from tds_sync_queue group by status');
  const { total: _total, ...told } = JSON.parse(await get('/dashboard/queue-stats'));
  const counted = { ...Object.fromEntries(Object.keys(told).map((status) => [status, 0])) };
  for (const { status, n } of rows) counted[status] = n;
  return { stats, metrics, others, exact: JSON.stringify(told) === JSON.stringify(counted) };
});

const TICK_MS = 10;

/** Processor time so far, in ms: of this process, and of each of its sessions with a PostgreSQL on this machine. */
type Used = { own: number; sessions: Map<number, number> };

async function usedBy(pool: Pool): Promise<Used> {
  const { rows } = await pool.query<{ pid: number }>(
    `select pid from pg_stat_activity where application_name = 'tds-bench' and datname = current_database()`,
  );
  const { user, system } = process.cpuUsage();
  return { own: (user + system) / 1000, sessions: new Map(rows.map(({ pid }) => [pid, ticksOf(pid) * TICK_MS])) };
}

/** A session that has ended meanwhile, because the pool had no use for it, is left out. */
function processorMs(before: Used, after: Used): number {
  const since = [...after.sessions].map(([pid, ms]) => ms - (before.sessions.get(pid) ?? 0));
  return since.reduce((sum, ms) => sum + ms, after.own - before.own);
}

/** utime and stime, in hundredths of a second on every Linux that we run on. */
function ticksOf(pid: number): number {
  const fields = stat(pid);
  return Number(fields[11]) + Number(fields[12]);
}
