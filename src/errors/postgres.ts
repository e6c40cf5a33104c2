/**
 * What errors of PostgreSQL and of its client `pg` mean. SQLSTATEs:
 * https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
import { chain, read, text } from './read.ts';

/** Codes of Node and undici for a connection that could not be made or was lost. */
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETUNREACH',
  'UND_ERR_SOCKET',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** A Unix socket that is not there (the server is down) or whose queue is full. From another system call: a bug. */
const SOCKET_CODES = new Set(['ENOENT', 'EAGAIN']);

/** What `pg` and `pg-pool` say, without any code, when a connection dies or cannot be had in time. */
const CONNECTION_MESSAGES =
  /^(Connection terminated|timeout exceeded when trying to connect|timeout expired|Client has encountered a connection error|Client was closed)/;

/** FATAL and PANIC as PostgreSQL's own translations print them: `pg` gives only the translated severity. */
const FATAL = new Set(['FATAL', 'FATALE', 'FATALT', 'ВАЖНО', 'ФАТАЛЬНО', 'ფატალური', '치명적오류', '致命错误']);
const PANIC = new Set(['PANIC', 'PANIK', 'PANICO', 'ПАНИКА', 'ПАНІКА', 'პანიკა', '손상', '比致命错误还过分的错误']);

/**
 * The states in which a server that ends a session is not serving: connection failures, shutting down or starting, out
 * of connections, memory or disk, failing disk. Not: time-outs, wrong password (28), no such database (3D), bad
 * settings, which waiting does not cure.
 */
const NOT_SERVING = /^(08|53|58|57P0[1235])/;

const SQLSTATE = /^(?:\d[\dA-Z]|F0|HV|P0|XX)[\dA-Z]{3}$/;

/** The SQLSTATE of one error, or ''. */
export function sqlState(error: unknown): string {
  const code = text(error, 'code');
  return SQLSTATE.test(code) ? code : '';
}

/** True when the error itself (not its cause) came from PostgreSQL. */
export function isFromPostgres(error: unknown): boolean {
  return sqlState(error) !== '' || (text(error, 'severity') !== '' && /^[\dA-Z]{5}$/.test(text(error, 'code')));
}

/**
 * True when the database cannot be reached or does not serve: refused, lost or timed-out connections (TCP and Unix
 * socket alike) and whatever ends the session with severity FATAL or PANIC because the server stops, starts or is out of
 * connections. Follows causes and the parts of an AggregateError. Never true for an error that a statement raised with
 * severity ERROR, whatever its SQLSTATE, nor for time-outs of a statement or an idle transaction. The time-out of
 * pg-pool counts, although a pool whose every client is in use gives it too. A handler's own ECONNREFUSED looks the
 * same: only callers know whose error it is.
 */
export function isDatabaseAway(error: unknown): boolean {
  return chain(error).some((link) => isLostConnection(link) || isServerNotServing(link));
}

/** True when no connection could be made or the one in use was lost; of one error, not of its causes. */
export function isLostConnection(error: unknown): boolean {
  const code = text(error, 'code');
  if (SOCKET_CODES.has(code)) return text(error, 'syscall') === 'connect';
  return NETWORK_CODES.has(code) || isConnectionMessage(error);
}

/** True for what `pg` itself says of its connection. */
function isConnectionMessage(error: unknown): boolean {
  return !isFromPostgres(error) && CONNECTION_MESSAGES.test(text(error, 'message'));
}

function isServerNotServing(error: unknown): boolean {
  const severity = text(error, 'severity');
  return PANIC.has(severity) || (FATAL.has(severity) && NOT_SERVING.test(text(error, 'code')));
}

/**
 * True when the server is up but cannot execute a write for reasons that pass: disk full (53100), out of memory
 * (53200), input/output error (58030), read-only (25006: a standby, or a primary set read-only). Blames the server only
 * if a statement of our own got it; a handler can make its transaction read-only or raise these states itself.
 */
export function isServerUnableToWrite(error: unknown): boolean {
  return hasState(error, '53100', '53200', '58030', '25006');
}

/** True when `lock_timeout` or NOWAIT ended the wait for a lock (55P03). */
export function isLockTimeout(error: unknown): boolean {
  return hasState(error, '55P03');
}

/** True for a deadlock or a serialization failure: the same transaction may succeed at once. */
export function isContention(error: unknown): boolean {
  return hasState(error, '40001', '40P01');
}

/** True when the server is up but has no connection for us (53300): others must give theirs up first. */
export function isOutOfConnections(error: unknown): boolean {
  return hasState(error, '53300');
}

/**
 * True when a limit in time ended the work: `statement_timeout` (57014, but not a cancel by somebody's request), idle
 * in transaction (25P03), `transaction_timeout` (25P04), or the client's own limit, after which the statement may still
 * be running on the server.
 */
export function isStatementTimeout(error: unknown): boolean {
  if (hasState(error, '25P03', '25P04')) return true;
  const isEnded = (link: unknown) => sqlState(link) === '57014' && !text(link, 'message').includes('user request');
  return chain(error).some((link) => isEnded(link) || isClientTimeout(link));
}

/** True when `pg` gave up waiting for an answer (`query_timeout`); of one error, not of its causes. */
export function isClientTimeout(error: unknown): boolean {
  return text(error, 'message') === 'Query read timeout';
}

/** True when PostgreSQL refused a value itself (bad data, constraint, limit): a neighbour's row may still be fine. */
export function blamesTheRow(error: unknown): boolean {
  return ['22', '23', '54'].some((sqlStateClass) => sqlState(error).startsWith(sqlStateClass));
}

function hasState(error: unknown, ...states: string[]): boolean {
  return chain(error).some((link) => states.includes(sqlState(link)));
}

const QUOTE = /["„“”«»]/;
const FROM_FIRST_TO_LAST_QUOTE = /["„“”«»].*["„“”«»]/s;
/** 'Key (email)=(a@b) already exists.' */
const KEY_VALUES = /\)=\(.*\)/s;
const BYTES = /0x[\da-f]{2}(?: 0x[\da-f]{2})*/gi;
const NAME_FIELDS = ['constraint', 'table', 'column', 'schema', 'dataType'];
/** Undefined or doubled tables, columns and functions, wrong column type: what is quoted stands in the statement. */
const ABOUT_NAMES = new Set(['42P01', '42P07', '42701', '42702', '42703', '42804', '42883']);
const IDENTIFIER = /^[a-z_][a-z\d_.]{0,127}$/i;

/**
 * PostgreSQL's message without values of the row: 'invalid input syntax for type numeric: "…"'. Names of tables,
 * columns and constraints stay. If anything else is quoted, everything between the first and the last quotation mark
 * goes, because a value may contain some itself.
 */
export function messageTemplate(error: unknown): string {
  const message = text(error, 'message').replace(KEY_VALUES, ')=(…)').replace(BYTES, '0x…');
  const parts = message.split(QUOTE);
  // An odd number of marks: one of them belongs to a value, or the last value is cut off.
  if (parts.length % 2 === 0) return `${parts[0]}"…"`;
  if (parts.every((part, at) => at % 2 === 0 || isName(error, part.trim()))) return message;
  return message.replace(FROM_FIRST_TO_LAST_QUOTE, '"…"');
}

function isName(error: unknown, quoted: string): boolean {
  if (ABOUT_NAMES.has(sqlState(error)) && IDENTIFIER.test(quoted)) return true;
  return sqlState(error).startsWith('23') && NAME_FIELDS.some((field) => read(error, field) === quoted);
}
