import cron, { type ScheduledTask } from 'node-cron';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { exclusively } from '../db/transaction.ts';
import { parseAgain } from '../inbox/retry.ts';
import type { Logger } from '../log.ts';
import { announceAlerts } from '../monitor/alerts/announce.ts';
import { evaluateAlerts } from '../monitor/alerts/evaluate.ts';
import { purge } from '../queue/purge.ts';
import { advanceRetryRuns } from '../queue/retry-runs/advance.ts';
import { purgeRetryRuns } from '../queue/retry-runs/purge.ts';
import type { WorkerContext } from './context.ts';

const ALERTS = '*/15 * * * * *';
const RETRY_RUNS = '* * * * * *';
const PURGE = '17 3 * * *';

export type ScheduleOptions = Pick<Config, 'failureRateMinEvents' | 'retentionDays' | 'defaultOrganization'>;

/** What happens by the clock. Every worker has this schedule; one at a time does the work. */
export class Schedule {
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  readonly #tasks: ScheduledTask[];

  constructor(
    { pool, log }: WorkerContext,
    db: Database,
    { failureRateMinEvents, retentionDays, defaultOrganization }: ScheduleOptions,
  ) {
    this.#log = log;
    this.#tasks = [
      this.#task(ALERTS, 'evaluating alerts', async () => {
        announceAlerts(log, await evaluateAlerts(db, { failureRateMinEvents, watchedSeconds: process.uptime() }));
      }),
      this.#task(RETRY_RUNS, 'retrying dead letters', () =>
        advanceRetryRuns(db, (trx, id) => parseAgain(trx, id, defaultOrganization)),
      ),
      this.#task(PURGE, 'purging', async () => {
        const purged = await exclusively(pool, 'purge', () => purge(pool, retentionDays, this.#stopped.signal));
        if (purged) await purgeRetryRuns(pool, retentionDays, this.#stopped.signal);
        if (purged) this.#log.info({ component: 'purge', ...purged }, 'old rows purged');
      }),
    ];
  }

  async start(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.start()));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#tasks.map((task) => task.destroy()));
  }

  #task(expression: string, name: string, work: () => Promise<void>): ScheduledTask {
    const guarded = () =>
      work().catch((error: unknown) =>
        this.#log.warn({ component: 'schedule', task: name, error }, 'scheduled work failed'),
      );
    return cron.createTask(expression, guarded, { name, noOverlap: true });
  }
}
