import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { oldestPendingAgeSeconds, queueStats } from '../queue/inspect.ts';
import { pauseState } from '../queue/pause.ts';
import { keyMetrics } from './alerts/bands.ts';
import { firingAlerts } from './alerts/firing.ts';
import { readWorkers } from './workers.ts';

/** GET /dashboard/metrics: the keys of the operations guide, all present even when there is nothing to count. */
export async function readMetrics(db: Database, bands: Readonly<Record<string, number>> = {}) {
  const [{ total: _total, ...by_status }, oldest, last_hour, workers, table_sizes, active_connections, alerts, pause] =
    await Promise.all([
      queueStats(db),
      oldestPendingAgeSeconds(db),
      processingOfLastHour(db),
      readWorkers(db),
      tableSizes(db),
      activeConnections(db),
      firingAlerts(db),
      pauseState(db),
    ]);
  const fire = [...alerts.active, ...alerts.acknowledged].map(({ rule }) => rule);
  const measured = { ...by_status, success_rate_percent: last_hour.success_rate_percent };
  return {
    timestamp: new Date().toISOString(),
    queue: { by_status, oldest_pending_age_seconds: oldest, dead_letter_count: by_status.dead_letter, pause },
    processing: { last_hour },
    workers,
    database: { table_sizes, active_connections },
    key_metrics: keyMetrics(measured, fire.includes('processing_standstill'), bands),
    active_alerts: alerts.active,
    acknowledged_alerts: alerts.acknowledged,
  };
}

type Processing = {
  total_processed: number;
  succeeded: number;
  failed: number;
  success_rate_percent: number;
  avg_duration_seconds: number;
};

/** Attempts of the last hour, from the 10-second roll-ups: 360 buckets at most, however busy the hour was. */
export async function processingOfLastHour(db: Database): Promise<Processing> {
  const { rows } = await sql<{ succeeded: number; failed: number; duration_ms: number }>`
    select coalesce(sum(succeeded), 0)::float8 as succeeded, coalesce(sum(failed), 0)::float8 as failed,
           coalesce(sum(duration_ms), 0)::float8 as duration_ms
    from tds_processing_totals where bucket > now() - interval '1 hour'`.execute(db);
  const { succeeded, failed, duration_ms } = rows[0] ?? { succeeded: 0, failed: 0, duration_ms: 0 };
  const total = succeeded + failed;
  return {
    total_processed: total,
    succeeded,
    failed,
    success_rate_percent: total === 0 ? 100 : round(succeeded / total, 100, 2),
    avg_duration_seconds: total === 0 ? 0 : round(duration_ms / total, 1 / 1000, 3),
  };
}

/** Every table of ours, the largest first, indexes and TOAST included. */
async function tableSizes(db: Database) {
  const { rows } = await sql<{ table_name: string; total_bytes: number; size: string }>`
    select relname as table_name, bytes::float8 as total_bytes, pg_size_pretty(bytes) as size
    from pg_class cross join lateral pg_total_relation_size(pg_class.oid) as bytes
    where relkind = 'r' and relnamespace = 'public'::regnamespace and relname ~ '^(tds|books)_'
    order by bytes desc, relname`.execute(db);
  return rows;
}

async function activeConnections(db: Database): Promise<number> {
  const { rows } = await sql<{ connections: number }>`
    select count(*)::int as connections from pg_stat_activity where datname = current_database()`.execute(db);
  return rows[0]?.connections ?? 0;
}

function round(value: number, factor: number, digits: number): number {
  return Number((value * factor).toFixed(digits));
}
