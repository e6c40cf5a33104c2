/** Every read of the dashboard through the whole API, and whether the counts are exact. */
import { buildApp } from '../../src/api/app.ts';
import { loadConfig } from '../../src/config.ts';
import { log, open } from '../engine.ts';
import { side } from '../side.ts';
import { percentile } from '../stats.ts';

export type Dashboard = {
  statsP95: number;
  metricsP95: number;
  exact: boolean;
  /** The slowest first. */
  others: { path: string; p95: number }[];
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
  const p95 = async (path: string) => {
    const latencies: number[] = [];
    for (let n = 0; n < requests; n += 1) {
      const started = performance.now();
      await get(path);
      latencies.push(performance.now() - started);
    }
    return percentile(latencies, 95);
  };
  const statsP95 = await p95('/dashboard/queue-stats');
  const metricsP95 = await p95('/dashboard/metrics');
  const others: Dashboard['others'] = [];
  for (const path of OTHERS) others.push({ path, p95: await p95(path) });
  others.sort((a, b) => b.p95 - a.p95);
  const { rows } = await pool.query('select status, count(*)::int as n from tds_sync_queue group by status');
  const { total: _total, ...told } = JSON.parse(await get('/dashboard/queue-stats'));
  const counted = { ...Object.fromEntries(Object.keys(told).map((status) => [status, 0])) };
  for (const { status, n } of rows) counted[status] = n;
  return { statsP95, metricsP95, others, exact: JSON.stringify(told) === JSON.stringify(counted) };
});
