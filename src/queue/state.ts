import type { ErrorTag } from '../errors.ts';
import { backoffSeconds, type RetryPolicy } from './backoff.ts';
import type { LogStatus, Outcome, Status } from './vocabulary.ts';

/** What finish.ts writes. `delaySeconds` counts from the database's now. */
export type Transition = {
  status: Exclude<Status, 'processing'>;
  log: LogStatus;
  charge: 0 | 1;
  delaySeconds: number;
  suspect: boolean;
  /** Given back once more; otherwise the count of releases starts again. */
  countsAsRelease: boolean;
  outcome: string | null;
  errorTag: ErrorTag | null;
  errorMessage: string | null;
};

/** What an event has been through so far, this attempt not included. */
export type History = { attemptCount: number; releaseCount: number };

/** So often in a row an event is given back uncharged; from then on each time costs an attempt. */
export const MAX_FREE_RELEASES = 5;

const UNCHARGED = {
  charge: 0,
  delaySeconds: 0,
  suspect: false,
  countsAsRelease: false,
  outcome: null,
  errorTag: null,
  errorMessage: null,
} as const;

/** The state machine: what becomes of an event in `processing` after `outcome`. */
export function transition(history: History, outcome: Outcome, policy: RetryPolicy): Transition {
  switch (outcome.kind) {
    case 'succeeded':
      return { ...UNCHARGED, status: 'completed', log: 'completed', charge: 1, outcome: outcome.label };
    case 'failed':
      return failed(history, outcome, policy);
    case 'released':
      return released(history, outcome, policy);
    case 'unharmed':
      return { ...UNCHARGED, status: 'pending', log: 'released', delaySeconds: outcome.seconds, ...errorOf(outcome) };
    case 'crashed':
      return crashed(history, outcome.alone, policy);
    default:
      return outcome satisfies never;
  }
}

function failed({ attemptCount }: History, outcome: Outcome & { kind: 'failed' }, policy: RetryPolicy): Transition {
  const end = { ...UNCHARGED, charge: 1, ...errorOf(outcome) } as const;
  if (outcome.permanent || attemptCount + 1 >= policy.maxAttempts)
    return { ...end, status: 'dead_letter', log: 'dead_letter' };
  const delaySeconds = outcome.retryAfterSeconds ?? backoffSeconds(attemptCount + 1, policy);
  return { ...end, status: 'retry', log: 'retry', delaySeconds };
}

function released(history: History, outcome: Outcome & { kind: 'released' }, policy: RetryPolicy): Transition {
  const { seconds, tag, message } = outcome;
  if (history.releaseCount >= MAX_FREE_RELEASES) {
    const failure = { kind: 'failed', tag, message, permanent: false, retryAfterSeconds: seconds } as const;
    return { ...failed(history, failure, policy), countsAsRelease: true };
  }
  const end = { ...UNCHARGED, countsAsRelease: true, delaySeconds: seconds, ...errorOf(outcome) };
  return { ...end, status: 'pending', log: 'released' };
}

/** Events that were in the same hands run alone next time: only what kills its worker alone is charged for it. */
function crashed({ attemptCount }: History, alone: boolean, policy: RetryPolicy): Transition {
  const message = 'the worker process died while it had this event in hand';
  const suspect = { ...UNCHARGED, suspect: true, ...errorOf({ tag: 'ProcessCrash', message }) } as const;
  if (!alone) return { ...suspect, status: 'pending', log: 'released' };
  if (attemptCount + 1 < policy.maxAttempts) return { ...suspect, status: 'pending', log: 'crashed', charge: 1 };
  return { ...suspect, suspect: false, status: 'dead_letter', log: 'dead_letter', charge: 1 };
}

function errorOf({ tag, message }: { tag: ErrorTag | null; message: string | null }) {
  return { errorTag: tag, errorMessage: message };
}
