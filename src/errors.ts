/**
 * The vocabulary of failure. A leaf: it imports nothing, so every room may import it.
 *
 * `classify` turns anything that can be thrown into a tag, a verdict (permanent or worth another attempt) and a
 * message that PostgreSQL can store.
 */

export type ErrorTag =
  | 'ValidationError'
  | 'ConflictError'
  | 'RateLimitError'
  | 'InternalServerError'
  | 'ServiceUnavailableError'
  | 'TimeoutError'
  | 'NetworkError'
  | 'UnknownError'
  | 'ProcessCrash';

export type Classification = {
  tag: ErrorTag;
  /** True when another attempt cannot succeed: the event goes to the dead letters at once. */
  permanent: boolean;
  /** Safe to store and show: no NUL, no lone surrogates, at most 2,000 characters. */
  message: string;
  /** How long the other side asked us to wait, when it said so. */
  retryAfterSeconds?: number;
};

type Verdict = Pick<Classification, 'tag' | 'permanent'>;

const MAX_MESSAGE = 2000;
const MAX_CAUSES = 5;

/** An error that already knows its tag; handlers throw it to decide their own fate. */
export class TaggedError extends Error {
  readonly tag: ErrorTag;
  readonly permanent: boolean;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    tag: ErrorTag,
    message: string,
    options: { permanent?: boolean; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = tag;
    this.tag = tag;
    this.permanent = options.permanent ?? (tag === 'ValidationError' || tag === 'ConflictError');
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

const permanent = (tag: ErrorTag): Verdict => ({ tag, permanent: true });
const transient = (tag: ErrorTag): Verdict => ({ tag, permanent: false });

/** Names Node and undici give to a connection that could not be made or was lost. */
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
]);

const TIMEOUT_NAMES = new Set(['AbortError', 'TimeoutError', 'HeadersTimeoutError', 'BodyTimeoutError']);

/** SQLSTATEs of a server that is busy, restarting, failing over or full: nothing is wrong with the event. */
const WEATHER_STATES = new Set(['40001', '40P01', '55P03', '53300', '53100', '25006']);
const WEATHER_CLASSES = ['08', '57P0'];

/** What `pg` says, without any code, when a connection dies or cannot be had in time. */
const PG_CONNECTION_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Query read timeout|Client has encountered a connection error|Client was closed)/;

/**
 * Classifies anything thrown, whatever it is: errors, strings, null, objects whose getters throw.
 * A RateLimitError is a request to wait, not a failure: callers do not charge an attempt for it.
 */
export function classify(error: unknown): Classification {
  const message = describe(error);
  if (error instanceof TaggedError) {
    const { tag, permanent, retryAfterSeconds } = error;
    return { tag, permanent, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  }
  for (const link of chain(error)) {
    const verdict = verdictOf(link);
    if (verdict) return { ...verdict, message };
  }
  return { tag: 'UnknownError', permanent: false, message };
}

/**
 * True when an error thrown by a database call blames the database rather than the statement: lost or refused
 * connections, restarts, deadlocks, lock time-outs, a full disk, a read-only standby. Such work is worth repeating.
 */
export function isDatabaseWeather(error: unknown): boolean {
  return chain(error).some((link) => {
    const code = text(link, 'code');
    return isWeatherState(code) || NETWORK_CODES.has(code) || PG_CONNECTION_MESSAGES.test(text(link, 'message'));
  });
}

/** True when the server is up but has no connection for us: others must give theirs up first. */
export function isOutOfConnections(error: unknown): boolean {
  return text(error, 'code') === '53300';
}

/** True when PostgreSQL refused a value itself (bad data, constraint, limit): a neighbour's row may still be fine. */
export function blamesTheRow(error: unknown): boolean {
  return ['22', '23', '54'].some((sqlStateClass) => text(error, 'code').startsWith(sqlStateClass));
}

/**
 * Makes a text that PostgreSQL's text and jsonb accept (both refuse NUL; jsonb refuses lone surrogates) and that fits
 * a log line: at most 2,000 characters, cut between characters.
 */
export function sanitizeMessage(message: string): string {
  const clean = message.replaceAll('\0', '\uFFFD');
  const cut = clean.length > MAX_MESSAGE ? `${clean.slice(0, MAX_MESSAGE - 1)}…` : clean;
  return cut.toWellFormed();
}

function verdictOf(error: unknown): Verdict | undefined {
  const code = text(error, 'code');
  if (NETWORK_CODES.has(code)) return transient('NetworkError');
  if (TIMEOUT_NAMES.has(text(error, 'name'))) return transient('TimeoutError');
  return fromSqlState(code) ?? fromHttpStatus(error) ?? fromMessage(error);
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
function fromSqlState(code: string): Verdict | undefined {
  if (!/^\d[0-9A-Z]{4}$/.test(code)) return undefined;
  if (code === '23505' || code === '23P01') return permanent('ConflictError');
  if (code.startsWith('22') || code.startsWith('23')) return permanent('ValidationError');
  if (code.startsWith('08')) return transient('NetworkError');
  if (code === '55P03' || code === '57014' || code === '25P03') return transient('TimeoutError');
  if (isWeatherState(code)) return transient('ServiceUnavailableError');
  return transient('UnknownError');
}

function isWeatherState(code: string): boolean {
  return WEATHER_STATES.has(code) || WEATHER_CLASSES.some((prefix) => code.startsWith(prefix));
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

/** fetch wrappers, axios and Fastify each put the status elsewhere. */
function httpStatus(error: unknown): number | undefined {
  const candidates = [read(error, 'status'), read(error, 'statusCode'), read(read(error, 'response'), 'status')];
  return candidates.find((value): value is number => Number.isInteger(value));
}

function fromMessage(error: unknown): Verdict | undefined {
  return PG_CONNECTION_MESSAGES.test(text(error, 'message')) ? transient('NetworkError') : undefined;
}

/** The error and its causes, outermost first: `fetch` hides ECONNREFUSED behind "fetch failed". */
function chain(error: unknown): unknown[] {
  const links: unknown[] = [];
  for (let link = error; link != null && links.length < MAX_CAUSES; link = read(link, 'cause')) links.push(link);
  return links;
}

function describe(error: unknown): string {
  if (typeof error === 'string' && error !== '') return sanitizeMessage(error);
  const message = text(error, 'message') || text(error, 'name');
  return sanitizeMessage(message || `something without a message was thrown: ${printed(error)}`);
}

function printed(error: unknown): string {
  try {
    return String(error);
  } catch {
    return typeof error;
  }
}

function text(object: unknown, key: string): string {
  const value = read(object, key);
  return typeof value === 'string' ? value : '';
}

/** Reads a property of anything; a getter that throws counts as absent. */
function read(object: unknown, key: string): unknown {
  if (object === null || (typeof object !== 'object' && typeof object !== 'function')) return undefined;
  try {
    return (object as Record<string, unknown>)[key];
  } catch {
    return undefined;
  }
}
