import { type Classification, classify, type ErrorTag, isDatabaseAway, TaggedError } from '../errors.ts';

/** How a failure is stored, of a run in `result` and of an activity in `error`. */
export type Failure = {
  message: string;
  tag: ErrorTag;
  cause: Classification['detail']['causes'];
  /** Where in the program it was thrown. */
  stack?: string;
};

/** `cause`: the error and what caused it, each with the called system's answer (`status`, `body`) where there is one. */
export function failureOf(error: unknown): Failure {
  const { message, tag, detail } = classify(error);
  const { causes, stack } = detail;
  return { message, tag, cause: causes, ...(stack === undefined ? {} : { stack }) };
}

/**
 * Whether what an activity threw says that our own database is away. An error that knows its tag, such as of a call of
 * Zoho, tells of another system, whose lost connections look the same.
 */
export function isOwnDatabaseAway(error: unknown): boolean {
  return !(error instanceof TaggedError) && isDatabaseAway(error);
}
