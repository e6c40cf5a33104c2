import { isDatabaseWeather } from '../errors.ts';

const fromDatabase = new WeakSet<object>();

/** Remembers that an error came from our own database: a handler's ECONNREFUSED looks just like it. */
export function blameDatabase(error: unknown): never {
  if (typeof error === 'object' && error !== null) fromDatabase.add(error);
  throw error;
}

/** The database was away, restarting, full or busy: nothing is wrong with the event. */
export function isWeather(error: unknown): boolean {
  return typeof error === 'object' && error !== null && fromDatabase.has(error) && isDatabaseWeather(error);
}

/** A deadlock or serialization failure: the same transaction may succeed at once. */
export function isContention(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code;
  return (code === '40001' || code === '40P01') && isWeather(error);
}
