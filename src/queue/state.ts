import type { ErrorTag } from '../errors.ts';
import { backoffSeconds, type RetryPolicy } from './retry.ts';

/** The five statuses of `tds_sync_queue.status`; there are no others. */
export const STATUSES = ['pending', 'processing', 'retry', 'completed', 'dead_letter'] as const;
export type Status = (typeof STATUSES)[number];

/** How one attempt at an event ended. */
export type Outcome =
  | { kind: 'succeeded'; label: string | null }
  | { kind: 'failed'; tag: ErrorTag; message: string; permanent: boolean }
  /** Waits for something that is not its fault (rate limit, database away): costs no attempt. */
  | { kind: 'snoozed'; seconds: number; tag: ErrorTag; message: string }
  /** Given back unfinished, by a shutdown or because its lease could not be kept. */
  | { kind: 'released' }
  /** Its worker died. `alone`: it was all the worker had in hand, so it is the cause. */
  | { kind: 'crashed'; alone: boolean };

/** What finish.ts writes. `delaySeconds` counts from the database's now. */
export type Transition = {
  status: Exclude<Status, 'processing'>;
  log: 'completed' | 'retry' | 'dead_letter' | 'released' | 'crashed';
  charge: 0 | 1;
  delaySeconds: number;
  suspect: boolean;
  outcome: string | null;
  errorTag: ErrorTag | null;
  errorMessage: string | null;
};

const UNCHARGED = {
  charge: 0,
  delaySeconds: 0,
  suspect: false,
  outcome: null,
  errorTag: null,
  errorMessage: null,
} as const;

/**
 * The state machine: what becomes of an event in `processing` after `outcome`.
 * @param attemptCount attempts charged so far, this one not included
 */
export function transition(attemptCount: number, outcome: Outcome, policy: RetryPolicy): Transition {
  switch (outcome.kind) {
    case 'succeeded':
      return { ...UNCHARGED, status: 'completed', log: 'completed', charge: 1, outcome: outcome.label };
    case 'failed':
      return failed(attemptCount, outcome.tag, outcome.message, outcome.permanent, policy);
    case 'snoozed':
      return {
        ...UNCHARGED,
        status: 'pending',
        log: 'released',
        delaySeconds: outcome.seconds,
        errorTag: outcome.tag,
        errorMessage: outcome.message,
      };
    case 'released':
      return { ...UNCHARGED, status: 'pending', log: 'released' };
    case 'crashed':
      return crashed(attemptCount, outcome.alone, policy);
    default:
      return outcome satisfies never;
  }
}

function failed(
  attemptCount: number,
  tag: ErrorTag,
  message: string,
  permanent: boolean,
  policy: RetryPolicy,
): Transition {
  const error = { ...UNCHARGED, charge: 1, errorTag: tag, errorMessage: message } as const;
  if (permanent || attemptCount + 1 >= policy.maxAttempts)
    return { ...error, status: 'dead_letter', log: 'dead_letter' };
  return { ...error, status: 'retry', log: 'retry', delaySeconds: backoffSeconds(attemptCount + 1, policy) };
}

/** Events that were in the same hands run alone next time: only what kills its worker alone is charged for it. */
function crashed(attemptCount: number, alone: boolean, policy: RetryPolicy): Transition {
  const message = 'the worker process died while it had this event in hand';
  const suspect = { ...UNCHARGED, suspect: true, errorTag: 'ProcessCrash', errorMessage: message } as const;
  if (!alone) return { ...suspect, status: 'pending', log: 'crashed' };
  if (attemptCount + 1 < policy.maxAttempts) return { ...suspect, status: 'pending', log: 'crashed', charge: 1 };
  return { ...suspect, status: 'dead_letter', log: 'dead_letter', charge: 1 };
}
