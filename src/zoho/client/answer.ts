/** What an answer of the API means. Status and body must agree that it is a success; anything else is a failure. */
import { isObject } from '../../inbox/json-object.ts';
import { type CallEnd, type DayQuota, dayQuota } from '../quota/quota-report.ts';
import { ZohoError } from './errors.ts';

/** A successful answer: the text as received, and the same parsed (ids and amounts may have lost digits there). */
export type Answer = { text: string; body: Record<string, unknown> };

export type RawAnswer = { status: number; headers: Headers; text: string };

/** The module and its scope, for messages. */
export type Asked = { what: string; scope: string };

/** A page of a million characters is none of Zoho's; a body without end would fill the memory. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

const LIMITS = { 44: 'minute-limit', 45: 'day-limit', 1070: 'in-flight-limit' } as const;
const NOT_FOUND = 1002;
const INVALID_URL = 5;
/** Codes of a token that is not valid (14) or may not do this (57); they also come with other statuses than 401. */
const UNAUTHORIZED = new Set([14, 57]);

/** Reads an answer. Returns the success, or the ZohoError that says what it is instead. */
export function readAnswer(raw: RawAnswer, asked: Asked): Answer | ZohoError {
  const { status, text } = raw;
  const body = parsed(text);
  const code = isObject(body) ? codeOf(body) : undefined;
  // An answer that says it is a success may hold records: those are for the mirror only.
  const said = status >= 400 || (code ?? 0) !== 0 ? text : undefined;
  const details = { status, code, body: said, retryAfterSeconds: retryAfter(raw.headers) };
  const answered = `${asked.what}: Zoho answered ${status}${code === undefined ? '' : `, code ${code}`}`;
  const limit = LIMITS[code as keyof typeof LIMITS] ?? (status === 429 ? 'minute-limit' : undefined);
  if (limit !== undefined) return new ZohoError(limit, `${answered}${message(body)}`, details);
  if (status >= 500) return new ZohoError('unavailable', `${answered}${message(body)}`, details);
  if (!isObject(body)) return new ZohoError('unreadable', `${answered} with ${kindOf(text)} instead of JSON.`, details);
  if (status === 401 || UNAUTHORIZED.has(code ?? 0)) return unauthorized(answered + message(body), asked, details);
  if (isNotFound(status, code)) return new ZohoError('not-found', `${answered}${message(body)}`, details);
  // 201: something was made.
  if ((status !== 200 && status !== 201) || (code ?? 0) !== 0)
    return new ZohoError('refused', `${answered}${message(body)}`, details);
  return { text, body };
}

/** What the governor learns from an answer. */
export function quotaOf(raw: RawAnswer, outcome: Answer | ZohoError): { end: CallEnd; day: DayQuota | null } {
  return { end: endOf(outcome), day: dayQuota(raw.headers) };
}

function endOf(outcome: Answer | ZohoError): CallEnd {
  if (!(outcome instanceof ZohoError)) return { kind: 'answered' };
  const { problem, code, message: why } = outcome;
  if (problem === 'unavailable' || problem === 'unreadable') return { kind: 'failed', why };
  return problem.endsWith('-limit') ? { kind: 'limited', code } : { kind: 'answered' };
}

/**
 * 404 alone is not enough to call a record deleted: a proxy's page, or a path that Zoho does not know (code 5), says
 * nothing about it.
 */
function isNotFound(status: number, code: number | undefined): boolean {
  if (code === NOT_FOUND) return true;
  return status === 404 && code !== undefined && code !== 0 && code !== INVALID_URL;
}

function unauthorized(
  said: string,
  { scope }: Asked,
  { status, code, body }: { status: number; code: number | undefined; body: string | undefined },
): ZohoError {
  return new ZohoError(
    'unauthorized',
    `${said} The token needs the scope ${scope}, and its user a role that may see all records of the module: ` +
      'make another with `npm run zoho -- connect`.',
    { status, code, body },
  );
}

function codeOf(body: Record<string, unknown>): number | undefined {
  const code = Number(body.code);
  return body.code !== '' && body.code !== null && Number.isInteger(code) ? code : undefined;
}

function message(body: unknown): string {
  const text = isObject(body) && typeof body.message === 'string' ? body.message.trim() : '';
  return text === '' ? '.' : `: ${text.endsWith('.') ? text : `${text}.`}`;
}

function kindOf(text: string): string {
  if (text.trim() === '') return 'nothing';
  return /^\s*</.test(text) ? 'HTML' : 'text';
}

/** Seconds of a Retry-After header; a date is not read, because nobody has seen Zoho send either. */
function retryAfter(headers: Headers): number | undefined {
  const text = headers.get('retry-after') ?? '';
  return /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
