import type { Logger } from '../../log.ts';
import type { AlertChange } from './incidents.ts';

const LEVELS = { critical: 'error', warning: 'warn', info: 'info' } as const;

/** Logs what changed: a critical alert at `error`, so that `journalctl -p err` shows it, a warning at `warn`. */
export function announceAlerts(log: Logger, changes: AlertChange[]): void {
  for (const { change, ...alert } of changes) {
    const level = change === 'resolved' ? 'info' : LEVELS[alert.severity];
    log[level]({ component: 'alerts', ...alert }, `alert ${change}`);
  }
}
