import cron, { type ScheduledTask } from 'node-cron';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { exclusively } from '../db/transaction.ts';
import { setHistoryDays } from '../handlers/history-days.ts';
import { parseAgain } from '../inbox/retry.ts';
import type { Logger } from '../log.ts';
import { announceAlerts } from '../monitor/alerts/announce.ts';
import { evaluateAlerts } from '../monitor/alerts/evaluate.ts';
import { queueDigest } from '../monitor/digest/send.ts';
import { sampleFields } from '../monitor/field-samples.ts';
import { DeadMansSwitch } from '../monitor/notify/heartbeat.ts';
import type { NotifyConfig } from '../monitor/notify/outgoing.ts';
import { checkMetrics, foldMetrics, purgeMetrics } from '../monitor/roll-ups/fold.ts';
import { reportCauses } from '../monitor/sentry/start.ts';
import { rollUpFailures } from '../queue/failures.ts';
import { freezeMetrics, purge } from '../queue/purge.ts';
import { daysOf } from '../queue/retention.ts';
import { advanceRetryRuns } from '../queue/retry-runs/advance.ts';
import { purgeRetryRuns } from '../queue/retry-runs/purge.ts';
import { judgeHoles } from '../sync/holes.ts';
import { purgeJudged, purgePulls } from '../sync/purge.ts';
import { purgeWorkflows } from '../workflows/purge.ts';
import type { Workflows } from '../workflows/registry.ts';
import { SCHEDULED, startScheduled } from '../workflows/scheduled.ts';
import { shortOfCalls } from '../zoho/quota/quota-state.ts';
import type { WorkerContext } from './context.ts';

const ALERTS = '*/15 * * * * *';
const RETRY_RUNS = '* * * * * *';
const ROLL_UP = '*/20 * * * * *';
const FIELDS = '40 * * * * *';
const HOLES = '*/10 * * * * *';
const CHECK = '41 2 * * *';
const PURGE = '17 3 * * *';

export type ScheduleOptions = Pick<
  Config,
  | 'failureRateMinEvents'
  | 'retentionDays'
  | 'retentionByKind'
  | 'historyDays'
  | 'metricsRetentionDays'
  | 'syncChangedCron'
  | 'reconcileCron'
  | 'alertThresholds'
  | 'digestCron'
  | 'heartbeatUrl'
  | 'defaultOrganization'
  | 'holeGraceSeconds'
  | 'zohoWebhooksPerDay'
  | 'sentryDsn'
  | 'nodeEnv'
> &
  NotifyConfig;

/** What happens by the clock. Every worker has this schedule; one at a time does the work. */
export class Schedule {
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  readonly #tasks: ScheduledTask[];
  readonly #keepHistory: () => Promise<void>;

  constructor({ pool, log }: WorkerContext, db: Database, config: ScheduleOptions, workflows: Workflows) {
    const { failureRateMinEvents, retentionDays, historyDays, metricsRetentionDays, alertThresholds } = config;
    const { syncChangedCron, reconcileCron, digestCron, defaultOrganization } = config;
    const retention = { days: retentionDays, byKind: config.retentionByKind };
    const deadMansSwitch = new DeadMansSwitch(config, log);
    this.#log = log;
    this.#keepHistory = () => setHistoryDays(db, historyDays);
    this.#tasks = [
      this.#task(ALERTS, 'evaluating alerts', async () => {
        const watched = { watchedSeconds: process.uptime(), webhooksPerDay: config.zohoWebhooksPerDay };
        const options = { failureRateMinEvents, alertThresholds, ...watched };
        const changes = await evaluateAlerts(db, options);
        announceAlerts(log, changes ?? []);
        await deadMansSwitch.evaluated();
      }),
      this.#task(RETRY_RUNS, 'retrying dead letters', () =>
        advanceRetryRuns(db, (trx, id) => parseAgain(trx, id, defaultOrganization)),
      ),
      this.#task(ROLL_UP, 'counting failures', async () => {
        await rollUpFailures(db);
        await reportCauses(config, { db, pool, log });
      }),
      this.#task(ROLL_UP, 'adding up metrics', async () => void (await foldMetrics(db))),
      this.#task(CHECK, 'checking metrics', async () => {
        const drift = await exclusively(pool, 'check metrics', () => checkMetrics(pool));
        if (drift) this.#log.warn({ component: 'metrics', drift }, 'roll-ups differ from the tables');
      }),
      this.#task(FIELDS, 'looking at fields', () => sampleFields(db)),
      this.#task(HOLES, 'judging holes', async () => {
        const { signal } = this.#stopped;
        const { holes } = await judgeHoles(db, config.holeGraceSeconds, signal);
        if (holes > 0) this.#log.warn({ component: 'holes', holes }, 'changes came without a webhook');
        await purgeJudged(db, signal);
      }),
      this.#task(PURGE, 'purging', async () => {
        await this.#keepHistory();
        const { signal } = this.#stopped;
        const purged = await exclusively(pool, 'purge', async () => {
          await freezeMetrics(pool, daysOf(retention, 'events'));
          const workflows = await purgeWorkflows(db, daysOf(retention, 'workflows'), signal);
          const metrics = await purgeMetrics(db, metricsRetentionDays);
          await purgePulls(db, daysOf(retention, 'pulls'), signal);
          await purgeRetryRuns(pool, daysOf(retention, 'retry_runs'), signal);
          return { ...(await purge(pool, retention, signal)), workflows, metrics };
        });
        if (purged) this.#log.info({ component: 'purge', ...purged }, 'old rows purged');
      }),
      ...this.#starts(syncChangedCron, SCHEDULED.syncChanged, db, workflows),
      ...this.#starts(reconcileCron, SCHEDULED.reconcile, db, workflows),
    ];
    if (digestCron) this.#tasks.push(this.#task(digestCron, 'the digest', () => queueDigest(db)));
  }

  async start(): Promise<void> {
    await this.#guarded('setting the days of history', this.#keepHistory)();
    await Promise.all(this.#tasks.map((task) => task.start()));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#tasks.map((task) => task.destroy()));
  }

  /** The task that starts a workflow by the clock; none when it is switched off. */
  #starts(expression: string | null, name: string, db: Database, workflows: Workflows): ScheduledTask[] {
    if (expression === null) return [];
    const start = async () => {
      const short = await shortOfCalls(db);
      for (const { organizationId, outcome, id } of await startScheduled(db, workflows, name, (of) => short.has(of))) {
        const line = { component: 'schedule', workflow_name: name, organization_id: organizationId, workflow_id: id };
        if (outcome === 'started') this.#log.info(line, 'workflow started by the schedule');
        else this.#log.debug({ ...line, outcome }, 'workflow not started by the schedule');
      }
    };
    return [this.#task(expression, `starting ${name}`, start)];
  }

  #task(expression: string, name: string, work: () => Promise<void>): ScheduledTask {
    return cron.createTask(expression, this.#guarded(name, work), { name, noOverlap: true, timezone: 'UTC' });
  }

  #guarded(name: string, work: () => Promise<void>): () => Promise<void> {
    return () =>
      work().catch((error: unknown) =>
        this.#log.warn({ component: 'schedule', task: name, error }, 'scheduled work failed'),
      );
  }
}
