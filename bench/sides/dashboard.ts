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
  slowestOther: { path: string; p95: number };
};

const EVENTS = '/dashboard/recent-events';
const OTHERS = [
  EVENTS,
  `${EVENTS}?status_filter=failed`,
  `${EVENTS}?status_filter=processing`,
  '/dashboard/dead-letter',
];

side<{ url: string; requests: number }, Dashboard>(async ({ url, requests }) => {
  const { db, pool } = open(url, 10, false);
  const inbox = { accept: () => Promise.reject(new Error('no webhooks here')) };
  const api = await buildApp({ config: loadConfig({}), log, db, pool, inbox });
  const get = async (path: string) => {
    const response = await api.inject(path);
    if (response.statusCode !== 200) throw new Error(`${path}: ${response.statusCode} ${response.body}`);
    return response.json();
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
  const others: Dashboard['slowestOther'][] = [];
  for (const path of OTHERS) others.push({ path, p95: await p95(path) });
  const slowestOther = others.reduce((slowest, other) => (other.p95 > slowest.p95 ? other : slowest));
  const { rows } = await pool.query('select status, count(*)::int as n from tds_sync_queue group by status');
  const { total: _total, ...told } = await get('/dashboard/queue-stats');
  const counted = { ...Object.fromEntries(Object.keys(told).map((status) => [status, 0])) };
  for (const { status, n } of rows) counted[status] = n;
  return { statsP95, metricsP95, slowestOther, exact: JSON.stringify(told) === JSON.stringify(counted) };
});
