import type { Logger } from '../../log.ts';
import type { AlertChange } from './evaluate.ts';

/** Logs what changed: a critical alert at `error`, so that `journalctl -p err` shows it, any other at `warn`. */
export function announceAlerts(log: Logger, changes: AlertChange[]): void {
  for (const { change, ...alert } of changes) {
    const level = change === 'resolved' ? 'info' : alert.severity === 'critical' ? 'error' : 'warn';
    log[level]({ component: 'alerts', ...alert }, `alert ${change}`);
  }
}
