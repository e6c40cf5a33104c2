import type { ErrorTag } from '../../errors.ts';

export type Advice = {
  /** Whether another attempt can help without anything being changed. */
  retry: boolean;
  why: string;
  action: string;
};

const REJECTED = {
  retry: false,
  why: 'The data was rejected, and the same data will be rejected again.',
  action: 'Read the causes: they name what was wrong. Correct the record in Zoho Books or the handler, then retry.',
};
const AWAY = {
  retry: true,
  why: 'The other system had a problem of its own; the event is as good as it was.',
  action: 'Look at its status page, acknowledge the alert, and retry the dead letters once its incident is over.',
};

/** The recovery playbook, by error tag: retry or not, and why. */
const PLAYBOOK: Record<ErrorTag, Advice> = {
  ValidationError: REJECTED,
  ConflictError: {
    retry: false,
    why: 'What was to be written contradicts what is there, and will contradict it again.',
    action: 'Read the causes: they name the constraint or the conflict. Correct the record or the handler, then retry.',
  },
  InternalServerError: AWAY,
  ServiceUnavailableError: AWAY,
  RateLimitError: {
    retry: true,
    why: 'The other system asked to be called less often.',
    action: 'Give the handler a rateLimit, or wait until the limit is open again; then retry the dead letters.',
  },
  TimeoutError: {
    retry: true,
    why: 'The answer took too long, which may pass.',
    action: 'See whether the other system or the database is slow; if it always is, raise timeoutMs. Then retry.',
  },
  NetworkError: {
    retry: true,
    why: 'The other system could not be reached.',
    action: 'Check its address, DNS and firewall from this machine; retry once it answers.',
  },
  UnknownError: {
    retry: false,
    why: 'Nothing says that another attempt would end differently: it may be a fault of the handler.',
    action:
      'Look at the stack and the handler. Throw an error with a tag where the cause is known. Retry after the fix.',
  },
  ProcessCrash: {
    retry: false,
    why: 'This event ended its worker, and would do so again.',
    action: "Look for the last lines of the worker's log before it died; correct the handler before you retry.",
  },
};

/** What to do about failures with this tag. */
export function adviceFor(tag: string): Advice {
  return PLAYBOOK[tag as ErrorTag] ?? PLAYBOOK.UnknownError;
}
