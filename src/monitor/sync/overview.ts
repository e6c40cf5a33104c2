import { sql } from 'kysely';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import { frequencyOf } from './clock.ts';
import { recentSyncEvents } from './events.ts';
import { syncHealth } from './health.ts';
import { readPeriods, syncMetrics } from './metrics.ts';

/** Records are counted one by one up to this many; beyond it the planner's estimate has to do. */
const COUNTED = 100_000;

/** GET /dashboard/sync/overview. */
export async function syncOverview(db: Database, config: Pick<Config, 'syncChangedCron'>) {
  const [health, recent_activity, hour, uptime, items] = await Promise.all([
    syncHealth(db, config),
    recentSyncEvents(db, { limit: 1 }),
    syncMetrics(db, 'hour', 1, {}),
    uptimeOfDay(db),
    countItems(db),
  ]);
  const { status, last_sync, is_healthy, consecutive_failures, alerts, metrics } = health;
  return {
    overview: { status, last_sync, uptime, items_in_database: items.n, items_are_estimated: items.estimated },
    performance: {
      last_sync_duration: recent_activity[0]?.duration ?? 'N/A',
      average_sync_time: hour.metrics[0]?.average_duration ?? 'N/A',
      sync_frequency: frequencyOf(config.syncChangedCron),
      success_rate: metrics.success_rate,
    },
    health: { is_healthy, consecutive_failures, active_errors: metrics.active_errors, alerts },
    recent_activity,
  };
}

/** Of the hours of the last day in which anything was tried, the share in which something succeeded, in percent. */
async function uptimeOfDay(db: Database): Promise<string | null> {
  const hours = await readPeriods(db, 'hour', 24);
  const tried = hours.filter((hour) => hour.successful_syncs + hour.failed_syncs > 0);
  if (tried.length === 0) return null;
  return ((tried.filter((hour) => hour.successful_syncs > 0).length / tried.length) * 100).toFixed(2);
}

async function countItems(db: Database): Promise<{ n: number; estimated: boolean }> {
  const { rows } = await sql<{ counted: number; estimate: number }>`
    select (select count(*)::int from (select from books_records where deleted_at is null limit ${COUNTED + 1}) r) as counted,
      (select greatest(reltuples, 0)::float8 from pg_class where oid = 'books_records'::regclass) as estimate`.execute(
    db,
  );
  const { counted, estimate } = rows[0] ?? { counted: 0, estimate: 0 };
  return counted > COUNTED ? { n: Math.max(estimate, counted), estimated: true } : { n: counted, estimated: false };
}
