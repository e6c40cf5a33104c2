export const ERROR_TAGS = [
  'ValidationError',
  'ConflictError',
  'RateLimitError',
  'InternalServerError',
  'ServiceUnavailableError',
  'TimeoutError',
  'NetworkError',
  'UnknownError',
  'ProcessCrash',
] as const;
export type ErrorTag = (typeof ERROR_TAGS)[number];

/** What a failure means for its event: `permanent` when another attempt cannot succeed. */
export type Verdict = { tag: ErrorTag; permanent: boolean };

/**
 * An error that already knows its tag; handlers throw it to decide their own fate. `permanent` is true by default for
 * ValidationError and ConflictError. `retryAfterSeconds` says when to come back; it is brought into 1 s to a day later.
 */
export class TaggedError extends Error {
  readonly tag: ErrorTag;
  readonly permanent: boolean;
  readonly retryAfterSeconds: number | undefined;

  constructor(
    tag: ErrorTag,
    message: string,
    options: { permanent?: boolean; retryAfterSeconds?: number; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = tag;
    this.tag = tag;
    this.permanent = options.permanent ?? isPermanentByDefault(tag);
    this.retryAfterSeconds = options.retryAfterSeconds;
  }
}

export function isPermanentByDefault(tag: ErrorTag): boolean {
  return tag === 'ValidationError' || tag === 'ConflictError';
}
