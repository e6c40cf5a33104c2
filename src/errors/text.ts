import { attempt, read } from './read.ts';

const ELLIPSIS = '…';
const ELLIPSIS_BYTES = 3;

/**
 * Makes a text that PostgreSQL's text and jsonb accept (both refuse NUL; jsonb refuses lone surrogates) and that has at
 * most `maxBytes` bytes of UTF-8, cut between characters and then ended by an ellipsis. Takes time by `maxBytes`, not by the
 * length of the text.
 */
export function sanitizeText(text: string, maxBytes = 2048): string {
  // A code unit needs at least one byte, so what is behind these cannot fit.
  const start = text
    .slice(0, maxBytes + 1)
    .replaceAll('\0', '\uFFFD')
    .toWellFormed();
  if (Buffer.byteLength(start) <= maxBytes) return start;
  const ending = maxBytes < ELLIPSIS_BYTES ? '' : ELLIPSIS;
  const room = new Uint8Array(maxBytes - Buffer.byteLength(ending));
  const { read: fitting } = new TextEncoder().encodeInto(start, room);
  return start.slice(0, fitting) + ending;
}

/** Matches the end of a key whose value is a secret, whatever its style: `Set-Cookie`, `x-api-key`, `refreshToken`. */
export const SECRET_KEY = /(authorization|cookie|signature|token|secret|password|api[_-]?key)s?$/i;

const MAX_DEPTH = 4;
const MAX_ENTRIES = 20;
const LARGEST_INTEGER = 2n ** 64n;

type Budget = { left: number };

/** Any value in the manner of JSON, for people: `{"code":42}`. At most `maxBytes`; no secrets by key. Never throws. */
export function preview(value: unknown, maxBytes = 1024): string {
  return sanitizeText(print(value, { left: maxBytes }, []), maxBytes);
}

function print(value: unknown, budget: Budget, parents: unknown[]): string {
  if (typeof value === 'object' && value !== null) {
    // Its brackets: a tree of empty lists ends too.
    budget.left -= 2;
    return printObject(value, budget, parents);
  }
  const printed = printPrimitive(value, budget.left);
  budget.left -= printed.length;
  return printed;
}

function printPrimitive(value: unknown, left: number): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, Math.max(0, left)));
  if (typeof value === 'symbol') return `Symbol(${(value.description ?? '').slice(0, 100)})`;
  if (typeof value === 'function') return '[function]';
  // Printing a number of a million digits takes seconds.
  if (typeof value === 'bigint')
    return value > LARGEST_INTEGER || value < -LARGEST_INTEGER ? '[large integer]' : `${value}`;
  return String(value);
}

function printObject(value: object, budget: Budget, parents: unknown[]): string {
  if (parents.includes(value)) return '[circular]';
  if (parents.length >= MAX_DEPTH) return '[too deep]';
  return attempt(() => printReadable(value, budget, [...parents, value])) ?? '[unreadable]';
}

function printReadable(value: object, budget: Budget, parents: unknown[]): string {
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? '[invalid date]' : JSON.stringify(value);
  if (value instanceof Error) return print(`${value.name}: ${value.message}`, budget, parents);
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  const isArray = Array.isArray(value);
  const parts: string[] = [];
  for (const key of Object.keys(value)) {
    if (parts.length >= MAX_ENTRIES || budget.left <= 0) {
      parts.push(ELLIPSIS);
      break;
    }
    const label = isArray ? '' : `${printPrimitive(key, 100)}:`;
    budget.left -= label.length;
    const field = read(value, key);
    parts.push(label + (SECRET_KEY.test(key) && isSecret(field) ? '"[redacted]"' : print(field, budget, parents)));
  }
  return isArray ? `[${parts.join(',')}]` : `{${parts.join(',')}}`;
}

/** A boolean or a count under such a name tells no secret: `has_token: true`. */
function isSecret(field: unknown): boolean {
  return typeof field === 'string' || (typeof field === 'object' && field !== null);
}
