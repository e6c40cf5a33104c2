/** What can go wrong between Zoho and us, told apart by what has to happen next. */
import { type ErrorTag, TaggedError } from '../../errors.ts';

export type ZohoProblem =
  | 'minute-limit' // code 44: the organization is blocked for about a minute
  | 'day-limit' // code 45: nothing more until the day of the organization ends
  | 'in-flight-limit' // code 1070: too many calls at once
  | 'quota' // our own governor: no call was made
  | 'refused-credential' // revoked, or of another data centre: no call until somebody acts
  | 'token' // no access token can be had at the moment
  | 'unauthorized' // 401 in spite of a fresh token: a scope or a permission is missing
  | 'not-found'
  | 'refused' // any other 4xx, or a code of Zoho's that is not 0
  | 'unreadable' // HTML, broken JSON, a key that must be there is missing
  | 'unavailable' // 5xx
  | 'timeout'
  | 'network';

const LONGEST_MESSAGE = 1000;
const LONGEST_BODY = 2000;

type Details = {
  /** HTTP status, where there was an answer. */
  status?: number | undefined;
  /** Zoho's own `code`, where the answer had one. */
  code?: number | undefined;
  /** The text of an answer that says what is wrong. */
  body?: string | undefined;
  retryAfterSeconds?: number | undefined;
  cause?: unknown;
};

const TAGS: Record<ZohoProblem, ErrorTag> = {
  'minute-limit': 'RateLimitError',
  'day-limit': 'RateLimitError',
  'in-flight-limit': 'RateLimitError',
  quota: 'RateLimitError',
  'refused-credential': 'ValidationError',
  token: 'ServiceUnavailableError',
  unauthorized: 'ValidationError',
  'not-found': 'ValidationError',
  refused: 'ValidationError',
  unreadable: 'ServiceUnavailableError',
  unavailable: 'ServiceUnavailableError',
  timeout: 'TimeoutError',
  network: 'NetworkError',
};

/** A failure of a call to Zoho. The message is a sentence for the operator and never holds a token. */
export class ZohoError extends TaggedError {
  readonly problem: ZohoProblem;
  readonly status: number | undefined;
  readonly code: number | undefined;
  readonly body: string | undefined;

  constructor(problem: ZohoProblem, message: string, details: Details = {}) {
    const { status, code, body, retryAfterSeconds, cause } = details;
    super(TAGS[problem], printable(message), {
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
      ...(cause === undefined ? {} : { cause }),
    });
    this.problem = problem;
    this.status = status;
    this.code = code;
    this.body = body?.slice(0, LONGEST_BODY);
  }
}

/** Texts of Zoho's go into logs and columns: one line, no control characters, not endless. */
function printable(message: string): string {
  return message
    .replace(/\p{Cc}+/gu, ' ')
    .toWellFormed()
    .slice(0, LONGEST_MESSAGE);
}

/** Whether the API itself is in trouble, rather than this one call: counted, and after some in a row calls pause. */
export function blamesZoho(error: unknown): boolean {
  return error instanceof ZohoError && ['unreadable', 'unavailable', 'timeout', 'network'].includes(error.problem);
}

/**
 * What `fetch` threw, as a ZohoError. An abort by the caller is not a failure of Zoho's: the caller's own reason is
 * thrown instead.
 */
export function fromFetch(thrown: unknown, what: string, timeoutMs: number, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if ((thrown as Error)?.name === 'TimeoutError')
    return new ZohoError('timeout', `${what} did not answer within ${timeoutMs} ms.`, { cause: thrown });
  const { cause } = thrown as { cause?: { code?: string; message?: string } };
  const why = cause?.code ?? cause?.message ?? (thrown as Error)?.message;
  return new ZohoError('network', `${what} could not be reached: ${why}.`, { cause: thrown });
}
