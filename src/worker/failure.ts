import { type Classification, classify, personalValues, redact, redactDetail, topFrame } from '../errors.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import type { Failure } from '../queue/failures.ts';
import { handlerOf } from './run-handlers.ts';

/** What is logged and kept of what was thrown at an event: without values of its record, whoever repeats them. */
export function failureOf(event: QueuedEvent, error: unknown): Failure {
  const { message, detail } = classify(error);
  const values = personalValues(event.payloadText);
  const { causes, stack = null } = redactDetail(detail, values);
  return {
    handler: handlerOf(error) ?? null,
    message: redact(message, values),
    place: topFrame(stack),
    stack,
    causes,
    httpStatus: statusOf(detail),
  };
}

/** Of the outermost error that has one. */
function statusOf({ causes }: Classification['detail']): number | null {
  return causes.find(({ status }) => status !== undefined)?.status ?? null;
}
