import { setTimeout as sleep } from 'node:timers/promises';
import type { PoolClient } from 'pg';
import { onClient } from '../db/transaction.ts';
import { isWeather } from '../db/weather.ts';
import { classify, isDatabaseWeather } from '../errors.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import type { Completed } from '../queue/complete.ts';
import { finish, letGo, StaleLease } from '../queue/finish.ts';
import { markProcessing } from '../queue/mark.ts';
import { type Outcome, type Transition, transition } from '../queue/state.ts';
import { type Crew, Interrupted } from './crew.ts';

const RATE_LIMIT_SECONDS = 60;
const WEATHER_SECONDS = 1;
const LOGGED_ONE_BY_ONE = 20;

/** What a failed attempt means for its event. */
export function outcomeOf(error: unknown): Outcome {
  if (error instanceof Interrupted) return { kind: 'released' };
  const { tag, permanent, message, retryAfterSeconds } = classify(error);
  if (isWeather(error)) return { kind: 'snoozed', seconds: WEATHER_SECONDS, tag, message };
  if (tag === 'RateLimitError' && !permanent) {
    return { kind: 'snoozed', seconds: retryAfterSeconds ?? RATE_LIMIT_SECONDS, tag, message };
  }
  return { kind: 'failed', tag, message, permanent };
}

/** Writes an outcome that has no effects with it. */
export async function settle(
  crew: Crew,
  event: QueuedEvent,
  outcome: Outcome,
  durationMs: number,
  options: { keepClaims?: boolean; signal: AbortSignal },
): Promise<void> {
  const end = transition(event.attemptCount, outcome, crew.policy);
  try {
    await persistently(crew, options.signal, (client) =>
      finish(client, crew.workerId, [{ event, transition: end, durationMs }], options),
    );
    logAttempt(crew, event, end, durationMs);
  } catch (error) {
    if (!(error instanceof StaleLease)) throw error;
    logStale(crew, [event]);
  }
}

/** Frees the entities of these events, which have all ended one by one. */
export async function letGoOf(crew: Crew, events: QueuedEvent[], signal: AbortSignal): Promise<void> {
  await persistently(crew, signal, (client) => letGo(client, events));
}

/** Has these events stand as `processing`: whoever ends them one by one is fenced by that. */
export async function markInHand(crew: Crew, events: QueuedEvent[], signal: AbortSignal): Promise<void> {
  const leases = [...new Set(events.map(({ lease }) => lease))];
  await persistently(crew, signal, (client) => markProcessing(client, leases));
}

/**
 * Tries again while the database is away: as long as our lease is alive, nobody else takes these events. Once the
 * work is broken off, one try has to do; then rescue takes over.
 */
async function persistently(
  crew: Crew,
  signal: AbortSignal,
  work: (client: PoolClient) => Promise<unknown>,
): Promise<void> {
  for (let pauseMs = 100; ; pauseMs = Math.min(2000, pauseMs * 2)) {
    try {
      await onClient(crew.pool, work);
      return;
    } catch (error) {
      if (signal.aborted || !isDatabaseWeather(error)) throw error;
      await sleep(pauseMs);
    }
  }
}

/** The wide line of one attempt. */
export function logAttempt(crew: Crew, event: QueuedEvent, end: Transition, durationMs: number): void {
  const line = {
    component: 'worker',
    event_id: event.eventId,
    queue_id: event.id,
    organization_id: event.organizationId,
    event_type: event.eventType,
    entity_id: event.entityId,
    attempt: event.attempt,
    status: end.status,
    outcome: end.outcome,
    error_tag: end.errorTag,
    error_message: end.errorMessage,
    duration_ms: Math.round(durationMs * 10) / 10,
    age_ms: Date.now() - event.receivedAt.getTime(),
  };
  if (end.status === 'dead_letter') crew.log.error(line, 'event moved to the dead letters');
  else if (end.status === 'retry') crew.log.warn(line, 'attempt failed');
  else crew.log.info(line, end.status === 'completed' ? 'event completed' : 'event given back');
}

/** A line per event, or one for the set when it is large: 30,000 lines a second would be the slowest part of all. */
export function logSet(crew: Crew, { events, labels }: Completed, durationMs: number): void {
  if (events.length <= LOGGED_ONE_BY_ONE) {
    for (const event of events) {
      const outcome = { kind: 'succeeded', label: labels.get(event.id) ?? null } as const;
      logAttempt(crew, event, transition(event.attemptCount, outcome, crew.policy), durationMs / events.length);
    }
    return;
  }
  const line = { component: 'worker', events: events.length, first_event_id: events[0]?.eventId };
  crew.log.info({ ...line, duration_ms: Math.round(durationMs) }, 'events completed');
}

export function logStale(crew: Crew, events: QueuedEvent[]): void {
  const ids = events.map((event) => event.id);
  crew.log.warn({ component: 'worker', queue_ids: ids }, 'stale write rejected: the lease was lost');
}
