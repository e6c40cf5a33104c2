import type { QueuedEvent } from '../handlers/handler.ts';
import type { Logger } from '../log.ts';
import type { Failure } from '../queue/failures.ts';
import { MAX_FREE_RELEASES, type Transition } from '../queue/state.ts';

/** One attempt at one event. `failure`: what was thrown, when something was. */
export type Attempt = { event: QueuedEvent; end: Transition; durationMs: number; failure?: Failure | undefined };

const LOGGED_ONE_BY_ONE = 20;

/** The wide line of one attempt. */
export function logAttempt(log: Logger, attempt: Attempt): void {
  const { end } = attempt;
  const line = { ...factsOf(attempt), ...failureOf(attempt) };
  if (end.status === 'dead_letter') log.error(line, 'event moved to the dead letters');
  else if (end.status === 'retry') log.warn(line, 'attempt failed');
  else if (end.countsAsRelease) log.warn(line, 'event given back uncharged');
  else log.info(line, end.status === 'completed' ? 'event completed' : 'event given back');
}

/** A line per event, or one for the set when it is large: 30,000 lines a second would be the slowest part of all. */
export function logSet(log: Logger, attempts: Attempt[], durationMs: number): void {
  if (attempts.length <= LOGGED_ONE_BY_ONE) for (const attempt of attempts) logAttempt(log, attempt);
  else {
    const facts = {
      events: attempts.length,
      first_event_id: attempts[0]?.event.id,
      last_event_id: attempts.at(-1)?.event.id,
    };
    log.info({ component: 'worker', ...facts, duration_ms: Math.round(durationMs) }, 'events completed');
  }
}

export function logStale(log: Logger, events: QueuedEvent[]): void {
  const ids = events.map((event) => event.id);
  log.warn({ component: 'worker', event_ids: ids }, 'stale write rejected: the lease was lost');
}

function factsOf({ event, end, durationMs }: Attempt) {
  return {
    component: 'worker',
    event_id: event.id,
    organization_id: event.organizationId,
    event_type: event.eventType,
    entity_id: event.entityId,
    attempt: event.attempt,
    status: end.status,
    outcome: end.outcome,
    duration_ms: Math.round(durationMs * 10) / 10,
    age_ms: Date.now() - event.receivedAt.getTime(),
    // version-trace-span-flags (W3C Trace Context); left out of the line where tracing was off.
    trace_id: event.traceparent?.split('-')[1],
  };
}

function failureOf({ event, end, failure }: Attempt) {
  if (end.errorTag === null) return {};
  const release = end.countsAsRelease && {
    releases_in_a_row: event.releaseCount + 1,
    charged_after: MAX_FREE_RELEASES,
  };
  const facts = { error_tag: end.errorTag, error_message: failure?.message ?? end.errorMessage, ...release };
  if (failure === undefined) return facts;
  const { causes, stack } = failure;
  const handler = failure.handler ?? undefined;
  const waits = handler !== undefined &&
    handler !== 'mirror' && { note: 'the mirror waits for it: both commit together' };
  return { ...facts, handler, ...waits, causes, ...(stack !== null && { stack }) };
}
