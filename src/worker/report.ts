import { isDatabaseAway } from '../errors.ts';
import type { WorkerContext } from './context.ts';

/**
 * Logs that a piece of the worker's own work failed. While the database is away everything fails for the same reason:
 * that is told by the outage log, in a line a minute.
 */
export function reportFailure(
  { log, outage }: Pick<WorkerContext, 'log' | 'outage'>,
  error: unknown,
  message: string,
  component = 'worker',
): void {
  if (outage && isDatabaseAway(error)) outage.failed(error);
  else log.warn({ component, error }, message);
}
