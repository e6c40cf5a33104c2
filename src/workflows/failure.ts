import { type Classification, classify, type ErrorTag } from '../errors.ts';

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
