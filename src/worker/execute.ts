import type { PoolClient } from 'pg';
import { inTransaction, LazyTransaction } from '../db/transaction.ts';
import { isContention, isWeather } from '../db/weather.ts';
import { TaggedError } from '../errors.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import { completeMarked, completeSet } from '../queue/complete.ts';
import { finish, StaleLease } from '../queue/finish.ts';
import { transition } from '../queue/state.ts';
import { admit, TooManyCalls } from './admit.ts';
import type { Crew } from './crew.ts';
import { runOnOne, runOnSet } from './run-handlers.ts';
import { letGoOf, logAttempt, logSet, logStale, markInHand, outcomeOf, settle } from './settle.ts';

const CONTENTION_TRIES = 5;
/** Most sets are done sooner, and nobody sees whether they were `processing`. */
const SHOW_AFTER_MS = 100;

/**
 * One event, from claim to outcome: all its handlers, then its completion, in one transaction that begins when a
 * handler first needs it. Deadlocks and serialization failures are tried again at once and not charged.
 */
export async function executeOne(crew: Crew, event: QueuedEvent, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  const elapsed = () => performance.now() - started;
  crew.crash('after_claim');
  for (let tries = 1; ; tries += 1) {
    try {
      await attemptOne(crew, event, signal, elapsed);
      return;
    } catch (error) {
      if (error instanceof StaleLease) return logStale(crew, [event]);
      if (isContention(error) && tries < CONTENTION_TRIES && !signal.aborted) continue;
      return settle(crew, event, outcomeOf(error), elapsed(), { signal });
    }
  }
}

/** Puts an event back that was claimed but not begun. */
export function giveBack(crew: Crew, event: QueuedEvent, signal: AbortSignal): Promise<void> {
  return settle(crew, event, { kind: 'released' }, 0, { signal });
}

async function attemptOne(crew: Crew, event: QueuedEvent, signal: AbortSignal, elapsed: () => number): Promise<void> {
  refuseQuarantined(event);
  await admit(crew, [event]);
  let labels = new Map<string, string>();
  const lazy = new LazyTransaction(crew.pool, async (client) => {
    labels = await runOnSet(crew, client, [event], signal);
  });
  try {
    await runOnOne(crew, lazy, event, signal);
    const client = await lazy.begin();
    crew.crash('after_effect');
    const outcome = { kind: 'succeeded', label: labels.get(event.id) ?? null } as const;
    const end = transition(event.attemptCount, outcome, crew.policy);
    await finish(client, crew.workerId, [{ event, transition: end, durationMs: elapsed() }]);
    crew.crash('before_commit');
    await lazy.commit();
    crew.crash('after_commit');
    logAttempt(crew, event, end, elapsed());
  } catch (error) {
    await lazy.rollback();
    throw error;
  }
}

/**
 * A set of events whose handlers all take sets: one transaction for handlers, completion and, with `next`, the claim
 * of the set after it. If it fails it is tried again in halves, so that only the culprit is charged.
 */
export async function executeSet<T>(
  crew: Crew,
  events: QueuedEvent[],
  signal: AbortSignal,
  next?: (client: PoolClient) => Promise<T>,
): Promise<T | undefined> {
  crew.crash('after_claim');
  let marked: Promise<void> | undefined;
  // Once, and never behind the end of an event: what waits for its retry would be marked as if it were in hand.
  const mark = () => {
    marked ??= markInHand(crew, events, signal);
    return marked;
  };
  const showing = setTimeout(() => mark().catch((error) => warnOfMark(crew, error)), SHOW_AFTER_MS);
  try {
    return await attemptSet(crew, events, signal, completeSet, next);
  } catch (error) {
    await mark();
    await endEach(crew, events, signal, error);
    await letGoOf(crew, events, signal);
    return undefined;
  } finally {
    clearTimeout(showing);
  }
}

function warnOfMark(crew: Crew, error: unknown): void {
  crew.log.warn({ component: 'worker', error }, 'showing events as processing failed');
}

/** Halves run one after the other: the events of an entity stay in order. */
async function endEach(crew: Crew, events: QueuedEvent[], signal: AbortSignal, error: unknown): Promise<void> {
  const nobodysFault = signal.aborted || isWeather(error) || error instanceof TooManyCalls;
  if (events.length === 1 || nobodysFault) {
    for (const event of events) await settle(crew, event, outcomeOf(error), 0, { keepClaims: true, signal });
    return;
  }
  const middle = Math.ceil(events.length / 2);
  for (const half of [events.slice(0, middle), events.slice(middle)]) {
    await attemptSet(crew, half, signal, completeMarked).catch((reason) => endEach(crew, half, signal, reason));
  }
}

async function attemptSet<T>(
  crew: Crew,
  events: QueuedEvent[],
  signal: AbortSignal,
  complete: typeof completeSet,
  next?: (client: PoolClient) => Promise<T>,
): Promise<T | undefined> {
  const started = performance.now();
  for (const event of events) refuseQuarantined(event);
  await admit(crew, events);
  const { completed, result } = await inTransaction(crew.pool, async (client) => {
    const labels = await runOnSet(crew, client, events, signal);
    crew.crash('after_effect');
    const completed = { events, labels, durationMs: (performance.now() - started) / events.length };
    await complete(client, crew.workerId, completed);
    const result = await next?.(client);
    crew.crash('before_commit');
    return { completed, result };
  });
  crew.crash('after_commit');
  logSet(crew, completed, performance.now() - started);
  return result;
}

function refuseQuarantined(event: QueuedEvent): void {
  if (event.quarantineReason !== null)
    throw new TaggedError('ValidationError', event.quarantineReason, { permanent: true });
}
