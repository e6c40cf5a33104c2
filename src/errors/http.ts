/** What the answer of a called system says, wherever fetch wrappers, axios, got, undici and Fastify put it. */
import { attempt, read } from './read.ts';
import { preview, sanitizeText } from './text.ts';

const DAY_SECONDS = 86_400;
const MAX_HEADER = 100;
const MAX_BODY_BYTES = 2048;

/** The HTTP status of an error or of a thrown Response; undefined when it has none. */
export function httpStatus(error: unknown): number | undefined {
  const candidates = [read(error, 'status'), read(error, 'statusCode'), read(read(error, 'response'), 'status')];
  return candidates.find((value): value is number => Number.isInteger(value));
}

/**
 * How long an error asks to wait, in whole seconds from 1 to 86,400: its `retryAfterSeconds` or `retryAfter`, else the
 * header Retry-After (https://www.rfc-editor.org/rfc/rfc9110#field.retry-after) of its response. Zero, a negative number
 * and a date in the past mean 1; what is no number and no date counts as absent. `now` is in ms since 1970.
 */
export function retryAfterOf(error: unknown, now: number): number | undefined {
  const asked = [read(error, 'retryAfterSeconds'), read(error, 'retryAfter')];
  const holders = [read(error, 'response'), error];
  const headers = holders.flatMap((holder) => [read(holder, 'headers'), read(holder, 'responseHeaders')]);
  for (const value of [...asked, ...headers.map(retryAfterHeader)]) {
    const seconds = toSeconds(value, now);
    if (seconds !== undefined) return seconds;
  }
  return undefined;
}

function retryAfterHeader(headers: unknown): unknown {
  for (const name of ['retry-after', 'Retry-After']) {
    const get = read(headers, 'get');
    const viaGet = typeof get === 'function' ? attempt(() => get.call(headers, name)) : undefined;
    const value = viaGet ?? read(headers, name);
    if (value != null) return typeof value === 'object' ? read(value, 0) : value;
  }
  return undefined;
}

function toSeconds(value: unknown, now: number): number | undefined {
  const seconds = typeof value === 'string' ? parseRetryAfter(value.slice(0, MAX_HEADER).trim(), now) : value;
  if (typeof seconds !== 'number' || Number.isNaN(seconds)) return undefined;
  return Math.min(DAY_SECONDS, Math.max(1, Math.ceil(seconds)));
}

/** Date.parse() makes a date of 'any words 5', hence the pattern; a date without a zone is GMT, as HTTP says. */
const HTTP_DATE = /^(?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? .*\d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\d\d:\d\d)/i;
const HAS_ZONE = /(?:gmt|utc|z|[+-]\d\d:?\d\d)$/i;

function parseRetryAfter(value: string, now: number): number {
  if (/^\d+(?:\.\d+)?$/.test(value)) return Number(value);
  if (!HTTP_DATE.test(value)) return Number.NaN;
  const separator = value.includes('T') && /^\d/.test(value) ? 'Z' : ' GMT';
  return (Date.parse(HAS_ZONE.test(value) ? value : value + separator) - now) / 1000;
}

/** The body of the called system's answer, at most 2 kB; undefined when the error carries none that can be read at once. */
export function responseBody(error: unknown): string | undefined {
  const response = read(error, 'response');
  const candidates = [...['data', 'body', 'text'].map((key) => read(response, key)), read(error, 'body')];
  for (const body of candidates) {
    const readable = attempt(() => readableBody(body));
    if (readable) return sanitizeText(readable, MAX_BODY_BYTES);
  }
  return undefined;
}

function readableBody(body: unknown): string | undefined {
  if (typeof body === 'string') return body;
  if (typeof body !== 'object' || body === null) return undefined;
  if (body instanceof Uint8Array) return new TextDecoder().decode(body.subarray(0, MAX_BODY_BYTES + 1));
  // A stream cannot be read here.
  const isData = Array.isArray(body) || [Object.prototype, null].includes(Object.getPrototypeOf(body));
  return isData ? preview(body, MAX_BODY_BYTES) : undefined;
}
