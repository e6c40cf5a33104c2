import cron, { type ScheduledTask } from 'node-cron';
import type { Config } from '../config.ts';
import type { Database } from '../db/database.ts';
import { exclusively } from '../db/transaction.ts';
import { setHistoryDays } from '../handlers/history-days.ts';
import type { Logger } from '../log.ts';
import { announceAlerts } from '../monitor/alerts/announce.ts';
import { evaluateAlerts } from '../monitor/alerts/evaluate.ts';
import { purge } from '../queue/purge.ts';
import type { WorkerContext } from './context.ts';

const ALERTS = '*/15 * * * * *';
const PURGE = '17 3 * * *';

export type ScheduleOptions = Pick<Config, 'failureRateMinEvents' | 'retentionDays' | 'historyDays'>;

/** What happens by the clock. Every worker has this schedule; one at a time does the work. */
export class Schedule {
  readonly #log: Logger;
  readonly #stopped = new AbortController();
  readonly #tasks: ScheduledTask[];
  readonly #keepHistory: () => Promise<void>;

  constructor({ pool, log }: WorkerContext, db: Database, options: ScheduleOptions) {
    const { failureRateMinEvents, retentionDays, historyDays } = options;
    this.#log = log;
    this.#keepHistory = () => setHistoryDays(db, historyDays);
    this.#tasks = [
      this.#task(ALERTS, 'evaluating alerts', async () => {
        announceAlerts(log, await evaluateAlerts(db, { failureRateMinEvents, watchedSeconds: process.uptime() }));
      }),
      this.#task(PURGE, 'purging', async () => {
        await this.#keepHistory();
        const purged = await exclusively(pool, 'purge', () => purge(pool, retentionDays, this.#stopped.signal));
        if (purged) this.#log.info({ component: 'purge', ...purged }, 'old rows purged');
      }),
    ];
  }

  async start(): Promise<void> {
    await this.#guarded('setting the days of history', this.#keepHistory)();
    await Promise.all(this.#tasks.map((task) => task.start()));
  }

  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#tasks.map((task) => task.destroy()));
  }

  #task(expression: string, name: string, work: () => Promise<void>): ScheduledTask {
    return cron.createTask(expression, this.#guarded(name, work), { name, noOverlap: true });
  }

  #guarded(name: string, work: () => Promise<void>): () => Promise<void> {
    return () =>
      work().catch((error: unknown) =>
        this.#log.warn({ component: 'schedule', task: name, error }, 'scheduled work failed'),
      );
  }
}
