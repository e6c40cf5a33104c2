import type { Database } from '../../db/database.ts';
import { isDatabaseAway } from '../../errors.ts';
import type { Logger } from '../../log.ts';
import type { Part } from '../../shutdown.ts';
import { VERSION } from '../../version.ts';
import { workersAtWork } from '../workers.ts';
import { announceAlerts } from './announce.ts';
import { evaluateAlerts } from './evaluate.ts';
import type { Thresholds } from './rules.ts';

export const EVALUATE_MS = 15_000;

export type StandInOptions = {
  /** FAILURE_RATE_MIN_EVENTS. */
  failureRateMinEvents: number;
  alertThresholds?: Thresholds;
  /** ZOHO_WEBHOOKS_PER_DAY. */
  zohoWebhooksPerDay?: number | undefined;
  /** How long this process has been watching; default: its uptime. */
  watchedSeconds?: () => number;
};

/**
 * Evaluates alerts from the API's process, every 15 s: what a worker cannot say of itself always, and all of them while
 * no worker does (none is alive, or every one is draining). The others are logged by workers as long as one works,
 * where the operations guide looks for them.
 */
export function alertsWithoutWorker(
  db: Database,
  log: Logger,
  { watchedSeconds = () => process.uptime(), zohoWebhooksPerDay: webhooksPerDay, ...config }: StandInOptions,
): Part {
  let timer: NodeJS.Timeout | undefined;
  let running: Promise<void> | undefined;
  const evaluate = async () => {
    const onlyJudgedByApi = (await workersAtWork(db)) > 0;
    const { failureRateMinEvents, alertThresholds = {} } = config;
    const watched = { watchedSeconds: watchedSeconds(), release: VERSION, webhooksPerDay };
    const options = { failureRateMinEvents, alertThresholds, ...watched };
    announceAlerts(log, (await evaluateAlerts(db, { ...options, onlyJudgedByApi })) ?? []);
  };
  return {
    name: 'alerts',
    start() {
      timer = setInterval(() => {
        running ??= evaluate()
          .catch((error: unknown) => tellUnlessAway(log, error))
          .finally(() => {
            running = undefined;
          });
      }, EVALUATE_MS);
    },
    async stop() {
      clearInterval(timer);
      await running;
    },
  };
}

/** The pool tells of an outage itself, once a minute. */
function tellUnlessAway(log: Logger, error: unknown): void {
  if (!isDatabaseAway(error)) log.warn({ component: 'alerts', error }, 'evaluating alerts failed');
}
