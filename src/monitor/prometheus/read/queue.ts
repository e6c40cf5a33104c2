import { sql } from 'kysely';
import type { Database } from '../../../db/database.ts';
import { oldestPendingAgeSeconds, queueStats } from '../../../queue/inspect.ts';
import { pauseState } from '../../../queue/pause.ts';
import { firingAlerts } from '../../alerts/firing.ts';
import { DATABASE_AWAY, RULES } from '../../alerts/rules.ts';
import { processingOfLastHour } from '../../metrics.ts';
import { readWorkers } from '../../workers.ts';
import { type Family, gauge, type Sample } from '../family.ts';

/** What waits, who works on it, how it goes, and what fires. */
export async function queueFamilies(db: Database): Promise<Family[]> {
  const { pending, retry, processing, dead_letter } = await queueStats(db);
  const workers = await readWorkers(db);
  const depth = Object.entries({ pending, retry, processing });
  return [
    gauge('pending_ops_gauge', 'Events in status pending.', pending),
    gauge(
      'job_queue_depth',
      'Events that have not ended, by status.',
      depth.map(([status, value]) => ({ labels: { status }, value })),
    ),
    gauge('tds_dead_letters_open', 'Open dead letters.', dead_letter),
    gauge(
      'tds_oldest_pending_age_seconds',
      'How long the oldest pending event has waited; 0 when none is pending.',
      await oldestPendingAgeSeconds(db),
    ),
    gauge('tds_queue_paused', '1 while claiming is paused.', Number((await pauseState(db)).paused)),
    gauge('active_processors_gauge', 'Workers that are alive.', workers.alive),
    gauge(
      'tds_worker_heartbeat_age_seconds',
      'Of the living worker that has been silent for longest; no sample when none lives.',
      workers.oldest_heartbeat_age_seconds,
    ),
    gauge(
      'tds_events_in_hand',
      'Events in the hands of living workers, as of their last heartbeats.',
      workers.in_flight,
    ),
    gauge(
      'success_rate_percent',
      "Share of the last hour's attempts that succeeded, as in /dashboard/metrics; 100 without any.",
      (await processingOfLastHour(db)).success_rate_percent,
    ),
    gauge(
      'failure_rate_per_min',
      'Attempts of the last minute that were charged and failed.',
      await failedPerMinute(db),
    ),
    gauge('tds_alerts_firing', 'Firing alerts, acknowledged ones included.', await alertSamples(db)),
  ];
}

async function failedPerMinute(db: Database): Promise<number> {
  const { rows } = await sql<{ failed: number }>`
    select coalesce(sum(failed), 0)::float8 as failed from tds_processing_totals
    where bucket > now() - interval '1 minute'`.execute(db);
  return rows[0]?.failed ?? 0;
}

/** Every rule, so that one that begins to fire is an increase; of its labels only how many fire. */
async function alertSamples(db: Database): Promise<Sample[]> {
  const { active, acknowledged } = await firingAlerts(db);
  const fire = [...active, ...acknowledged];
  return [...RULES, DATABASE_AWAY].map(({ rule, severity }) => ({
    labels: { rule, severity },
    value: fire.filter((alert) => alert.rule === rule).length,
  }));
}
