/** Whether the pulls keep the mirror in step: the guide's service health, for all organizations and for each. */
import { sql } from 'kysely';
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import { firingAlerts } from '../alerts/firing.ts';
import { nextTime } from './clock.ts';
import { countUnresolved } from './errors.ts';
import { RUNS, recentSyncEvents, SERVICE } from './events.ts';

/** So many failures in a row, and the service is unhealthy. */
const UNHEALTHY_AFTER = 3;
/** Runs that are looked at for failures in a row, the latest: three days of one every five minutes. */
const LATEST_RUNS = 1000;
const RECENT = 10;

export type SyncState = {
  organization_id: string;
  last_successful_sync: Date | null;
  last_failed_sync: Date | null;
  last_full_sync: Date | null;
  last_incremental_sync: Date | null;
  consecutive_failures: number;
};

export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy' | 'unknown';

/** unknown: no pull has ended. */
export function statusOf(failures: number, lastSync: Date | null): HealthStatus {
  if (failures >= UNHEALTHY_AFTER) return 'unhealthy';
  if (failures > 0) return 'degraded';
  return lastSync === null ? 'unknown' : 'healthy';
}

/** GET /dashboard/sync/health. The worst organization speaks for the service. */
export async function syncHealth(db: Database, { syncChangedCron }: Pick<Config, 'syncChangedCron'>) {
  const [states, recent, active_errors, alerts, freshness, next_sync] = await Promise.all([
    syncStates(db),
    recentSyncEvents(db, { limit: RECENT }),
    countUnresolved(db),
    firingAlerts(db),
    readFreshness(db),
    nextTime(syncChangedCron),
  ]);
  const failures = Math.max(0, ...states.map((state) => state.consecutive_failures));
  const last_sync = latest(states.map((state) => state.last_successful_sync));
  return {
    ...{ service: SERVICE, status: statusOf(failures, last_sync), last_sync, next_sync },
    ...{ consecutive_failures: failures, is_healthy: failures < UNHEALTHY_AFTER, health_check_at: new Date() },
    last_failed_sync: latest(states.map((state) => state.last_failed_sync)),
    last_full_sync: latest(states.map((state) => state.last_full_sync)),
    last_incremental_sync: latest(states.map((state) => state.last_incremental_sync)),
    metrics: { ...metricsOf(recent), active_errors },
    alerts: alerts.active.map(({ id, severity, title, message, fired_at }) => ({
      id,
      severity,
      title,
      message,
      fired_at,
    })),
    organizations: states.map((state) => ({
      ...state,
      status: statusOf(state.consecutive_failures, state.last_successful_sync),
      is_healthy: state.consecutive_failures < UNHEALTHY_AFTER,
    })),
    freshness,
  };
}

function metricsOf(recent: Awaited<ReturnType<typeof recentSyncEvents>>) {
  const ended = recent.filter(({ status }) => status !== 'started');
  const good = ended.filter(({ status }) => status === 'success');
  const durations = ended.flatMap(({ duration_ms }) => (duration_ms === null ? [] : [duration_ms]));
  return {
    total_syncs: recent.length,
    success_rate: ended.length === 0 ? null : ((good.length / ended.length) * 100).toFixed(2),
    average_duration: durations.length === 0 ? null : Math.round(durations.reduce((a, b) => a + b) / durations.length),
  };
}

/** What the latest runs say of each organization. */
export async function syncStates(db: Database): Promise<SyncState[]> {
  const { rows } = await sql<SyncState>`
    with latest as (
      select * from ${RUNS} r where status <> 'started' order by started_at desc, id desc limit ${LATEST_RUNS}),
    good as (select organization_id, max(completed_at) as at from latest where status = 'success' group by 1)
    select organization_id, max(completed_at) filter (where status = 'success') as last_successful_sync,
      greatest(max(completed_at) filter (where status = 'failed'), max(last_failed_at)) as last_failed_sync,
      max(completed_at) filter (where status = 'success' and sync_type in ('full', 'reconcile')) as last_full_sync,
      max(completed_at) filter (where status = 'success' and sync_type = 'incremental') as last_incremental_sync,
      (count(*) filter (where status = 'failed' and completed_at > coalesce(good.at, '-infinity')))::int
        as consecutive_failures
    from latest left join good using (organization_id) group by organization_id order by organization_id`.execute(db);
  return rows;
}

export type Freshness = {
  organization_id: string;
  module: string;
  /** Every change before this has been pulled; null when the module was never pulled. */
  pulled_until: Date | null;
  age_seconds: number | null;
  /** Begin of the last hour, within a week, in which an event of the module arrived. */
  last_event_hour: Date | null;
};

/** How old what is known of each module is. */
export async function readFreshness(db: Database): Promise<Freshness[]> {
  const { rows } = await sql<Freshness>`
    with arrived as (
      select organization_id, split_part(event_type, '.', 1) as module, max(starts_at) as hour
      from tds_metrics('hour', now() - interval '7 days') m
      where received > 0 and organization_id <> '' group by 1, 2)
    select organization_id, module, known_until as pulled_until, hour as last_event_hour,
      round(extract(epoch from now() - known_until))::float8 as age_seconds
    from (select organization_id, module, known_until from tds_pull_marks) marks
    full join arrived using (organization_id, module) order by organization_id, module limit 1000`.execute(db);
  return rows;
}

function latest(times: (Date | null)[]): Date | null {
  return times.reduce((a, b) => (a !== null && (b === null || a > b) ? a : b), null);
}
