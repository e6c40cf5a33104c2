import { UsageError } from './command.ts';

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 } as const;

/** '2h', '30m', '7d' before `now`, or a time such as 2026-01-15T10:00:00Z. Undefined when nothing is given. */
export function readTime(option: string, text: string | undefined, now = Date.now()): Date | undefined {
  if (text === undefined) return undefined;
  const [, amount, unit] = /^(\d{1,6})([smhdw])$/.exec(text) ?? [];
  const time = unit ? new Date(now - Number(amount) * UNITS[unit as keyof typeof UNITS] * 1000) : new Date(text);
  if (!Number.isNaN(time.getTime())) return time;
  throw new UsageError(`--${option} takes 30m, 2h, 7d or a time such as 2026-01-15T10:00:00Z`);
}

/** A whole number from `min` to `max`. */
export function readNumber(option: string, text: string, min: number, max: number): number {
  if (/^\d{1,9}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
  throw new UsageError(`--${option} takes a whole number from ${min} to ${max}`);
}
