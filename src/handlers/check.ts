/** From what a file exports to a handler that can be run, or a sentence on what is wrong with it. */
import { nearest } from '../nearest.ts';
import { doubtAbout, isPattern } from './event-types.ts';
import type { Handler } from './handler.ts';

/** Of a file's default export: a handler, nothing of that kind, or a handler with a mistake in it. */
export type Checked =
  | { kind: 'handler'; handler: Handler; doubts: string[] }
  | { kind: 'none'; why: string }
  | { kind: 'wrong'; problem: string };

const DAY_MS = 86_400_000;
const MONTH_MS = 31 * DAY_MS;
/** Printable in a log line, a table and a Redis key. */
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_ .-]{0,63}$/u;
const KEYS = ['name', 'eventTypes', 'timeoutMs', 'rateLimit', 'handle', 'handleBatch'];

/**
 * Checks a default export. The handler it returns is a new, frozen object whose functions are bound to the export, so
 * classes with private fields work and later changes to the export are not noticed. `name` is used when it has none.
 */
export function checkHandler(exported: unknown, name: string): Checked {
  const stranger = whyNoHandler(exported);
  if (stranger !== undefined) return { kind: 'none', why: stranger };
  const candidate = exported as Partial<Handler>;
  const problem = whatIsWrong(candidate);
  if (problem !== undefined) return { kind: 'wrong', problem };
  return { kind: 'handler', handler: bound(candidate as Handler, name), doubts: doubtsOf(candidate as Handler) };
}

function whyNoHandler(exported: unknown): string | undefined {
  if (exported === undefined) return 'it has no default export';
  if (typeof exported === 'function')
    return 'its default export is a function or a class; a handler is an object: export default { eventTypes, handle }';
  if (typeof exported !== 'object' || exported === null) return 'its default export is no handler';
  const { eventTypes, handle, handleBatch } = exported as Partial<Handler>;
  const looksLikeOne = [eventTypes, handle, handleBatch].some((part) => part !== undefined);
  return looksLikeOne ? undefined : 'its default export has neither eventTypes nor handle';
}

function whatIsWrong({ name, eventTypes, timeoutMs, rateLimit, handle, handleBatch }: Partial<Handler>) {
  if (name !== undefined && !(typeof name === 'string' && NAME.test(name)))
    return 'needs a name of at most 64 letters, digits, spaces, dots, hyphens or underscores';
  if (!Array.isArray(eventTypes) || eventTypes.length === 0 || !eventTypes.every(isPattern))
    return "needs eventTypes such as ['invoice.updated'], ['invoice.*'] or ['*']";
  for (const [key, part] of Object.entries({ handle, handleBatch }))
    if (part !== undefined && typeof part !== 'function') return `needs a function as ${key}`;
  if (handle === undefined && handleBatch === undefined) return 'needs a function handle(event, ctx)';
  if (timeoutMs !== undefined && !isWithin(timeoutMs, 1, DAY_MS))
    return `needs a timeoutMs from 1 to ${DAY_MS} milliseconds (a day)`;
  if (rateLimit !== undefined && !isRateLimit(rateLimit))
    return 'needs a rateLimit such as { max: 100, durationMs: 60_000 }; durationMs is at most 31 days';
  return undefined;
}

function isRateLimit(limit: unknown): boolean {
  const { max, durationMs } = (limit ?? {}) as { max?: unknown; durationMs?: unknown };
  return isWithin(max, 1, Number.MAX_SAFE_INTEGER) && Number.isInteger(max) && isWithin(durationMs, 1, MONTH_MS);
}

/** Also false for NaN, Infinity and what is no number. Timers wrap at 2^31 ms and would fire at once. */
function isWithin(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && value >= min && value <= max;
}

function bound(exported: Handler, name: string): Handler {
  const { timeoutMs, rateLimit } = exported;
  return Object.freeze({
    name: exported.name ?? name,
    eventTypes: Object.freeze([...exported.eventTypes]),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(rateLimit === undefined ? {} : { rateLimit: Object.freeze({ ...rateLimit }) }),
    ...(exported.handle ? { handle: exported.handle.bind(exported) } : {}),
    ...(exported.handleBatch ? { handleBatch: exported.handleBatch.bind(exported) } : {}),
  });
}

/** What is allowed and yet hardly meant. */
function doubtsOf(exported: Handler): string[] {
  const patterns = exported.eventTypes.flatMap((pattern) => doubtAbout(pattern) ?? []);
  return [...patterns, ...misspelt(exported)];
}

function misspelt(exported: object): string[] {
  const strangers = Object.keys(exported).filter((key) => !KEYS.includes(key));
  return strangers.flatMap((key) => {
    const meant = nearest(key, KEYS, () => 2);
    return meant ? [`'${key}' is not read; did you mean ${meant}?`] : [];
  });
}
