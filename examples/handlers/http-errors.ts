import { TaggedError } from 'tds-core';

/** What another system's refusal means here. Has no default export, so it is a helper, not a handler. */
export function refusal(system: string, { status, headers }: Response): Error {
  const message = `${system} answered ${status}`;
  const retryAfterSeconds = Number(headers.get('retry-after'));
  if (status === 429 && retryAfterSeconds > 0) return new TaggedError('RateLimitError', message, { retryAfterSeconds });
  return Object.assign(new Error(message), { status });
}
