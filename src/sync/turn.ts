/** How a run calls Zoho: behind re-fetches, counted, and given back when it would have to wait. */
import { Postponed, type Run } from '../workflows/workflow.ts';
import { ZohoError } from '../zoho/client/errors.ts';
import type { Turn } from '../zoho/quota/governed.ts';

/** The turn of a run's next calls, each of which counts into its progress. */
export function turnOf(run: Run<unknown>): Turn {
  return {
    lane: 'backfill',
    signal: run.signal,
    onCall: () => {
      run.progress.calls += 1;
    },
  };
}

/** What to throw in place of an error: where Zoho or the quota say how long to wait, the run waits and is not charged. */
export function orPostponed(error: unknown): unknown {
  const seconds = error instanceof ZohoError ? error.retryAfterSeconds : undefined;
  return seconds === undefined ? error : new Postponed(seconds, (error as ZohoError).message);
}

/**
 * Whether Zoho will not give what was asked for. Asking again at once would not help: a scope or a permission is missing,
 * or the organization has no such module.
 */
export function isRefusal(error: unknown): error is ZohoError {
  return error instanceof ZohoError && ['unauthorized', 'refused', 'not-found'].includes(error.problem);
}

/** Why Zoho will not give what was asked for, as a sentence, or null when the error is of another kind. */
export function refusal(error: unknown): string | null {
  return isRefusal(error) ? error.message : null;
}
