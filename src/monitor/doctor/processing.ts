/** The troubleshooting part of the operations guide: worker, backlog, stuck events, causes of failure. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { queueStats } from '../../queue/inspect.ts';
import { pauseState } from '../../queue/pause.ts';
import { countStuck } from '../../queue/release-stuck.ts';
import { VERSION } from '../../version.ts';
import { groupDeadLetters } from '../dead-letter-groups.ts';
import { processingOfLastHour } from '../metrics.ts';
import { listWorkers } from '../workers.ts';
import type { Examination, Finding } from './finding.ts';

const STUCK_SECONDS = 3600;
const MANY_PENDING = 100;
const MANY_DEAD = 10;
/** Percent of the last hour's attempts that succeeded; fewer attempts than these say nothing. */
const LOW_SUCCESS = 95;
const VERY_LOW_SUCCESS = 90;
const ENOUGH_ATTEMPTS = 20;
const RATE_SECONDS = 600;

const pause: Examination = async (db) => {
  const { paused, paused_at, paused_by, reason, event_types } = await pauseState(db);
  const all: Finding = {
    ...{ code: 'paused', severity: 'warning', title: 'The queue is paused' },
    cause: `${paused_by} paused it: ${reason}`,
    evidence: `since ${paused_at?.toISOString()}`,
    next: 'tds queue resume',
  };
  const some = event_types.map((type): Finding => {
    return {
      ...{ code: 'event_type_paused', severity: 'warning', title: `Events of the type ${type.event_type} are paused` },
      cause: `${type.paused_by} paused them: ${type.reason}`,
      evidence: `since ${type.paused_at.toISOString()}`,
      next: `tds queue resume --event-type '${type.event_type}'`,
    };
  });
  return paused ? [all, ...some] : some;
};

const workers: Examination = async (db) => {
  const all = await listWorkers(db, 200);
  const alive = all.filter(({ state }) => state !== 'lost' && state !== 'ended');
  const drained = alive.filter(({ state }) => state === 'drained');
  const old = alive.filter(({ version }) => version !== VERSION);
  const findings: Finding[] = [];
  if (alive.length === 0)
    findings.push({
      ...{ code: 'no_worker', severity: 'critical', title: 'No worker is alive' },
      cause:
        all[0]?.state === 'lost'
          ? 'the last worker died, or its machine is frozen'
          : 'no worker was started, or it was stopped',
      evidence: all[0]
        ? `the last one, on ${all[0].host}, was heard at ${all[0].heartbeat_at.toISOString()}`
        : 'none in the last day',
      next: 'systemctl restart tds-core-worker; journalctl -u tds-core-worker -p err -n 50',
    });
  if (drained.length > 0) {
    const every = drained.length === alive.length;
    findings.push({
      ...{ code: 'drained', severity: every ? 'critical' : 'warning' },
      title: every ? 'Every worker is drained: nothing is processed' : `${drained.length} workers are drained`,
      cause: `${[...new Set(drained.map(({ drained_by: by }) => by ?? 'somebody'))].join(', ')} drained them`,
      evidence: drained.map(({ host, pid, drained_at: at }) => `${host} ${pid} since ${at?.toISOString()}`).join('; '),
      next: 'tds workers drain --resume',
    });
  }
  if (old.length > 0)
    findings.push({
      ...{ code: 'old_worker', severity: 'warning', title: 'A worker is of another release' },
      cause: 'it was not restarted when the release was changed',
      evidence: old
        .map(({ host, pid, version }) => `${host} ${pid}: ${version || 'unknown'}, not ${VERSION}`)
        .join('; '),
      next: 'systemctl restart tds-core-worker',
    });
  return findings;
};

const backlog: Examination = async (db) => {
  const { pending } = await queueStats(db);
  if (pending < MANY_PENDING) return [];
  const { arrived, ended } = await ratesOf(db);
  const perSecond = (ended - arrived) / RATE_SECONDS;
  const drains =
    perSecond > 0 ? `gone in about ${Math.ceil(pending / perSecond / 60)} min at this rate` : 'and it is not shrinking';
  return [
    {
      ...{
        code: 'backlog',
        title: `${pending} events wait`,
        severity: pending > 500 && perSecond <= 0 ? 'critical' : 'warning',
      },
      cause:
        ended === 0
          ? 'nothing is processed at all'
          : arrived > ended
            ? 'more arrives than is processed'
            : 'a burst that is being worked off',
      evidence: `in the last 10 minutes ${arrived} arrived and ${ended} ended; ${drains}`,
      next: ended === 0 ? 'tds workers list; tds queue stats' : 'raise WORKER_CONCURRENCY or start another worker',
    },
  ];
};

async function ratesOf(db: Database): Promise<{ arrived: number; ended: number }> {
  const { rows } = await sql<{ arrived: number; ended: number }>`
    select coalesce(sum(arrived), 0)::float8 as arrived, coalesce(sum(succeeded), 0)::float8 as ended
    from tds_processing_totals where bucket > now() - ${RATE_SECONDS} * interval '1 second'`.execute(db);
  return rows[0] ?? { arrived: 0, ended: 0 };
}

const stuck: Examination = async (db) => {
  const events = await countStuck(db, STUCK_SECONDS);
  if (events === 0) return [];
  return [
    {
      ...{ code: 'stuck_events', severity: 'warning', title: `${events} events have been in hand for over an hour` },
      cause: 'a handler hangs, or waits for a system without a time-out',
      evidence: 'tds events list --status processing',
      next: 'tds queue release-stuck --dry-run; give the handler a timeoutMs',
    },
  ];
};

const givenBack: Examination = async (db) => {
  const { rows } = await sql<{ events: number; message: string | null }>`
    select count(*)::int as events, min(q.error_message) as message
    from tds_queue_waiting w join tds_sync_queue q on q.id = w.id where w.release_count >= 5`.execute(db);
  const { events = 0, message } = rows[0] ?? {};
  if (events === 0) return [];
  return [
    {
      ...{ code: 'given_back', severity: 'warning', title: `${events} events are given back again and again` },
      cause: 'a rate limit or an outage that does not pass',
      evidence: message ?? 'no reason was given',
      next: 'journalctl -u tds-core-worker -n 100',
    },
  ];
};

const causes: Examination = async (db) => {
  const { dead_letter } = await queueStats(db);
  if (dead_letter < MANY_DEAD) return [];
  const { groups } = await groupDeadLetters(db, 1);
  const [largest] = groups;
  if (!largest) return [];
  return [
    {
      ...{
        code: 'dead_letters',
        title: `${dead_letter} dead letters`,
        severity: dead_letter > 50 ? 'critical' : 'warning',
      },
      cause: `${largest.count} of them: ${largest.error_tag}: ${largest.message}`,
      evidence: `from ${largest.first_seen_at.toISOString()} to ${largest.last_seen_at.toISOString()}, ${largest.event_types.join(', ')}`,
      next: `tds dlq show ${largest.example_ids[0]}; cure the cause; tds dlq retry --group ${largest.key} --dry-run`,
    },
  ];
};

const failures: Examination = async (db) => {
  const { total_processed: attempts, failed, success_rate_percent: rate } = await processingOfLastHour(db);
  if (attempts < ENOUGH_ATTEMPTS || rate > LOW_SUCCESS) return [];
  const cause = await mostFrequentFailure(db);
  return [
    {
      ...{ code: 'failures', severity: rate < VERY_LOW_SUCCESS ? 'critical' : 'warning' },
      title: `Only ${rate} % of the last hour's attempts succeeded`,
      cause: cause ? `most of all ${cause.error_tag}: ${cause.message}` : 'attempts failed whose rows are gone',
      evidence: `${failed} of ${attempts} attempts failed`,
      next: cause ? `tds events list --status failed; look at dashboard/errors/${cause.fingerprint}` : 'tds dlq groups',
    },
  ];
};

async function mostFrequentFailure(db: Database) {
  const { rows } = await sql<{ fingerprint: string; error_tag: string; message: string }>`
    select g.fingerprint, g.error_tag, g.message from tds_failure_groups g join (
      select fingerprint, sum(failures) as failures from tds_failure_hours
      where hour >= date_trunc('hour', now() - interval '1 hour') group by fingerprint) h using (fingerprint)
    order by h.failures desc, g.fingerprint limit 1`.execute(db);
  return rows[0];
}

const stoppedRun: Examination = async (db) => {
  const query = db.selectFrom('tds_retry_runs').select(['id', 'status', 'status_reason', 'ended_at']);
  const run = await query.orderBy('created_at', 'desc').limit(1).executeTakeFirst();
  if (run?.status !== 'stopped') return [];
  return [
    {
      ...{ code: 'retry_stopped', severity: 'warning', title: 'The last retry of many dead letters stopped itself' },
      cause: `the cause is not cured: ${run.status_reason}`,
      evidence: `at ${run.ended_at?.toISOString()}`,
      next: `tds dlq run ${run.id}; tds dlq groups`,
    },
  ];
};

export const processing: Examination[] = [pause, workers, backlog, stuck, givenBack, causes, failures, stoppedRun];
