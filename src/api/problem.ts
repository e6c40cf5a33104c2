import { STATUS_CODES } from 'node:http';
import { classify, isContention, isDatabaseAway, isServerUnableToWrite } from '../errors.ts';
import { describeInvalid, isInvalid } from './invalid.ts';

/** An error answer as of RFC 9457: a stable `code` for programs, a `detail` that tells a person what to do. */
export class Problem extends Error {
  readonly status: number;
  readonly code: string;
  readonly headers: Record<string, string>;

  constructor(status: number, code: string, detail: string, headers: Record<string, string> = {}) {
    super(detail);
    this.status = status;
    this.code = code;
    this.headers = headers;
  }
}

export const PROBLEM_TYPE = 'application/problem+json';

/** The JSON text of a problem. `type` is about:blank: the status and our `code` say all there is to know. */
export function problemText(problem: Problem, requestId: string): string {
  return JSON.stringify({
    type: 'about:blank',
    title: STATUS_CODES[problem.status] ?? 'Error',
    status: problem.status,
    detail: problem.message,
    code: problem.code,
    request_id: requestId,
  });
}

export function notFound(what: string, hint: string): Problem {
  return new Problem(404, 'not_found', `No ${what} has this id. ${hint}`);
}

/** 409: an operator took the event out of the queue. */
export function inQuarantine(): Problem {
  const detail = 'An operator took this event out of the queue. Release it: POST api/admin/events/<id>/release.';
  return new Problem(409, 'in_quarantine', detail);
}

/** 409: an operator discarded or edited the dead letter. */
export function inDiscard(): Problem {
  const detail =
    'This dead letter was discarded or edited: dashboard/events/<id> says by whom. ' +
    'Restore one that was discarded: POST dashboard/dead-letter/<id>/restore.';
  return new Problem(409, 'discarded', detail);
}

const RETRY_AFTER_SECONDS = 5;

/** 503: nothing was done, and the caller should come again after these seconds. */
export function unavailable(code: string, detail: string, retryAfterSeconds = RETRY_AFTER_SECONDS): Problem {
  return new Problem(503, code, detail, { 'retry-after': String(retryAfterSeconds) });
}

/**
 * Any thrown value as a problem. Our own pass unchanged; Fastify's get a code and a useful sentence; a database that
 * is away becomes 503; everything else is a bare 500, because an unknown message may hold SQL or personal data.
 */
export function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (!(error instanceof Error)) return internalError();
  return fromFastify(error) ?? fromDatabase(error) ?? internalError();
}

function internalError(): Problem {
  return new Problem(500, 'internal_error', 'Something failed on our side. Search the log for this request_id.');
}

type FastifyFailure = Error & { code?: string; statusCode?: number };

const FASTIFY_CODES: Record<string, [status: number, code: string, detail: string]> = {
  FST_ERR_CTP_BODY_TOO_LARGE: [413, 'payload_too_large', 'The body is larger than this route accepts. Send less.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [415, 'unsupported_media_type', 'This route does not read that Content-Type.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: [400, 'invalid_json', 'The body is empty: send JSON or leave Content-Type out.'],
  FST_ERR_CTP_INVALID_JSON_BODY: [400, 'invalid_json', 'The body is not valid JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: [400, 'invalid_length', 'The body does not have the announced length.'],
  FST_ERR_HANDLER_TIMEOUT: [503, 'timeout', 'The answer took too long. Try again in a few seconds.'],
  FST_ERR_BAD_URL: [400, 'invalid_url', 'The path is not valid percent-encoded UTF-8.'],
  FST_ERR_MAX_PARAM_LENGTH: [414, 'invalid_url', 'A part of the path is too long.'],
};

function fromFastify(error: FastifyFailure): Problem | undefined {
  if (isInvalid(error)) return new Problem(400, 'invalid_request', describeInvalid(error));
  const known = FASTIFY_CODES[error.code ?? ''];
  if (known) return known[0] === 503 ? unavailable(known[1], known[2]) : new Problem(...known);
  const status = error.statusCode ?? 500;
  if (status < 400 || status >= 500) return undefined;
  return new Problem(status, 'invalid_request', 'The request could not be understood.');
}

// undefined_table, undefined_column, undefined_function
const UNDEFINED = new Set(['42P01', '42703', '42883']);
// invalid_authorization_specification, invalid_password, invalid_catalog_name, too many connections of a role
const REFUSED_LOGIN = new Set(['28000', '28P01', '3D000']);

function fromDatabase(error: Error): Problem | undefined {
  const { code = '' } = error as FastifyFailure;
  if (isMissingFromSchema(error)) return notMigrated();
  if (REFUSED_LOGIN.has(code)) {
    return unavailable('database_refused', 'The database refuses the login of this service. Check DATABASE_URL.');
  }
  if (error.name === 'InboxUnavailable') return inboxUnavailable(error);
  // A statement time-out is as passing as a lost connection.
  return isPassing(error) ? databaseUnavailable() : undefined;
}

function isPassing(error: Error): boolean {
  return (
    [isDatabaseAway, isContention, isServerUnableToWrite].some((applies) => applies(error)) ||
    classify(error).tag === 'TimeoutError'
  );
}

/** The inbox knows best when to come again. */
function inboxUnavailable(error: Error & { retryAfterSeconds?: unknown }): Problem {
  const seconds = error.retryAfterSeconds;
  return databaseUnavailable(typeof seconds === 'number' && seconds >= 1 ? Math.ceil(seconds) : undefined);
}

function databaseUnavailable(retryAfterSeconds?: number): Problem {
  const detail = 'The database does not answer. Try again in a few seconds.';
  return unavailable('database_unavailable', detail, retryAfterSeconds);
}

/** Whether a statement failed because the schema is not that of this release. */
export function isMissingFromSchema(error: unknown): boolean {
  return UNDEFINED.has((error as FastifyFailure | null)?.code ?? '');
}

/** What exactly is missing stands in the log and in /readyz. */
export function notMigrated(): Problem {
  return unavailable('not_migrated', 'The database does not have the tables of this release. See /readyz.');
}
