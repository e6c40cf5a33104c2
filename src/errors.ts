/**
 * The vocabulary of failure. A leaf: it and `errors/` import nothing else, so every folder may import it.
 *
 * `classify` turns anything that can be thrown into a tag, a verdict (permanent or worth another attempt), a message and
 * a detail that PostgreSQL can store. `errors/postgres.ts` tells a database that is away from a statement that failed.
 */
import { describeChain } from './errors/describe.ts';
import { detailOf, type ErrorDetail } from './errors/detail.ts';
import { httpStatus, retryAfterOf } from './errors/http.ts';
import { isClientTimeout, isLostConnection, sqlState } from './errors/postgres.ts';
import { attempt, chain, read, text } from './errors/read.ts';
import { ERROR_TAGS, type ErrorTag, isPermanentByDefault, TaggedError, type Verdict } from './errors/tagged.ts';

export { describeThrown } from './errors/describe.ts';
export { type ErrorCause, type ErrorDetail, topFrame } from './errors/detail.ts';
export {
  blamesTheRow,
  isContention,
  isDatabaseAway,
  isLockTimeout,
  isOutOfConnections,
  isServerUnableToWrite,
  isStatementTimeout,
} from './errors/postgres.ts';
export { personalValues, redact, redactDetail } from './errors/redact.ts';
export { sanitizeText } from './errors/text.ts';
export { type ErrorTag, TaggedError };

export type Classification = Verdict & {
  /** Safe to store and show: no NUL, no lone surrogates, at most 2 kB; PostgreSQL's messages without values. */
  message: string;
  /** How long the other side asked us to wait, when it said so: whole seconds from 1 to 86,400. */
  retryAfterSeconds?: number;
  detail: ErrorDetail;
};

/** What handlers may call their errors, by `tag` or `name`. `ProcessCrash` is ours alone. */
const KNOWN_TAGS = new Set<string>(ERROR_TAGS.filter((tag) => tag !== 'ProcessCrash'));

const TIMEOUT_NAMES = new Set(['AbortError', 'HeadersTimeoutError', 'BodyTimeoutError']);

/**
 * Classifies anything thrown, whatever it is: errors, texts, null, objects whose getters throw. Never throws itself.
 * The outermost error that says what it is decides; an error with a `tag` says so, and an unknown tag is UnknownError.
 * A RateLimitError is a request to wait, not a failure: callers do not charge an attempt for it. `now` (ms since 1970)
 * is what a Retry-After that names a date is measured from.
 */
export function classify(error: unknown, now = Date.now()): Classification {
  const links = chain(error);
  const verdict = firstOf(links, verdictOf) ?? { tag: 'UnknownError', permanent: false };
  const retryAfterSeconds = firstOf(links, (link) => retryAfterOf(link, now));
  return {
    ...verdict,
    message: describeChain(error),
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    detail: detailOf(error),
  };
}

function firstOf<T>(links: unknown[], find: (link: unknown) => T | undefined): T | undefined {
  for (const link of links) {
    const found = find(link);
    if (found !== undefined) return found;
  }
  return undefined;
}

function verdictOf(error: unknown): Verdict | undefined {
  return fromTag(error) ?? fromName(error) ?? fromSqlState(error) ?? fromConnection(error) ?? fromHttpStatus(error);
}

function fromTag(error: unknown): Verdict | undefined {
  const tag = text(error, 'tag');
  if (tag === '') return undefined;
  const isOurs = attempt(() => error instanceof TaggedError) === true;
  const known = KNOWN_TAGS.has(tag) || (isOurs && tag === 'ProcessCrash');
  return withFate(error, known ? (tag as ErrorTag) : 'UnknownError');
}

function fromName(error: unknown): Verdict | undefined {
  const name = text(error, 'name');
  if (KNOWN_TAGS.has(name) && name !== 'UnknownError') return withFate(error, name as ErrorTag);
  return TIMEOUT_NAMES.has(name) ? transient('TimeoutError') : undefined;
}

/** An error may say itself that another attempt is useless, or that it is not. */
function withFate(error: unknown, tag: ErrorTag): Verdict {
  const permanent = read(error, 'permanent');
  return { tag, permanent: typeof permanent === 'boolean' ? permanent : isPermanentByDefault(tag) };
}

const permanent = (tag: ErrorTag): Verdict => ({ tag, permanent: true });
const transient = (tag: ErrorTag): Verdict => ({ tag, permanent: false });

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function fromSqlState(error: unknown): Verdict | undefined {
  const state = sqlState(error);
  if (state === '') return undefined;
  if (state === '23505' || state === '23P01') return permanent('ConflictError');
  if (/^(22|23|54)/.test(state)) return permanent('ValidationError');
  if (state.startsWith('08')) return transient('NetworkError');
  if (/^(55P03|57014|25P03|25P04)$/.test(state)) return transient('TimeoutError');
  if (/^(40001|40P01|53|57P0|58|25006)/.test(state)) return transient('ServiceUnavailableError');
  return transient('UnknownError');
}

function fromConnection(error: unknown): Verdict | undefined {
  if (isLostConnection(error)) return transient('NetworkError');
  return isClientTimeout(error) ? transient('TimeoutError') : undefined;
}

function fromHttpStatus(error: unknown): Verdict | undefined {
  const status = httpStatus(error);
  if (status === undefined || status < 400 || status > 599) return undefined;
  if (status === 429) return transient('RateLimitError');
  if (status === 408) return transient('TimeoutError');
  if (status === 409) return permanent('ConflictError');
  if (status === 503) return transient('ServiceUnavailableError');
  if (status >= 500) return transient('InternalServerError');
  return permanent('ValidationError');
}
