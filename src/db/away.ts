import { isDatabaseWeather } from '../errors.ts';

/**
 * True when an error says that the database is away: over TCP, and over a Unix socket, whose file is gone (ENOENT) as
 * soon as the server has stopped.
 */
export function isDatabaseAway(error: unknown): boolean {
  return isDatabaseWeather(error) || isMissingSocket(error);
}

/** pg tries every address of a host and then throws an AggregateError of what each one said. */
function isMissingSocket(error: unknown): boolean {
  const { code, syscall, cause, errors } = (error ?? {}) as NodeJS.ErrnoException & { errors?: unknown[] };
  if (code === 'ENOENT' && syscall === 'connect') return true;
  return [cause, ...(Array.isArray(errors) ? errors : [])].some((link) => link != null && isDatabaseAway(link));
}
