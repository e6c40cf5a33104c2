import { setTimeout as sleep } from 'node:timers/promises';
import { inTransaction } from '../db/transaction.ts';
import { blamesTheRow, isDatabaseAway } from '../errors.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import type { Failure } from '../queue/failures.ts';
import { finish, StaleLease } from '../queue/finish.ts';
import { type Transition, transition } from '../queue/state.ts';
import type { Outcome } from '../queue/vocabulary.ts';
import { logAttempt, logStale } from './attempt-log.ts';
import { noteEnd } from './attempt-spans.ts';
import type { WorkerContext } from './context.ts';
import { failureOf } from './failure.ts';

const LONGEST_PAUSE_MS = 2000;

/** How an attempt ended that leaves no effects, for one or several events at once. */
export type EffectlessEnd = { outcome: Outcome; durationMs: number; error?: unknown };

/**
 * Writes an end that has no effects with it. Tries again while the database is away: as long as our lease is alive,
 * nobody else takes these events. Once the work is broken off, one try has to do; then rescue takes over.
 * @returns what became of each event; undefined for one that was no longer ours
 */
export async function endWithoutEffects(
  context: WorkerContext,
  events: QueuedEvent[],
  end: EffectlessEnd,
  signal: AbortSignal,
): Promise<(Transition | undefined)[]> {
  const { error, durationMs } = end;
  const failures = events.map((event) => (error === undefined ? undefined : failureOf(event, error)));
  try {
    const transitions = await write(context, events, end, failures, signal);
    for (const [n, event] of events.entries()) {
      const end = transitions[n] as Transition;
      noteEnd(event, end);
      logAttempt(context.log, { event, end, durationMs, failure: failures[n] });
    }
    return transitions;
  } catch (error) {
    if (!(error instanceof StaleLease)) throw error;
    if (events.length === 1) {
      logStale(context.log, events);
      return [undefined];
    }
    // Some are ours and some are not: one by one, so that ours are not kept in hand.
    const ends = [];
    for (const event of events) ends.push(...(await endWithoutEffects(context, [event], end, signal)));
    return ends;
  }
}

/** Puts events back that were claimed but not begun. */
export async function giveBack(context: WorkerContext, events: QueuedEvent[], signal: AbortSignal): Promise<void> {
  const outcome: Outcome = { kind: 'unharmed', seconds: 0, tag: null, message: null };
  await endWithoutEffects(context, events, { outcome, durationMs: 0 }, signal);
}

async function write(
  context: WorkerContext,
  events: QueuedEvent[],
  { outcome, durationMs }: EffectlessEnd,
  failures: (Failure | undefined)[],
  signal: AbortSignal,
): Promise<Transition[]> {
  const transitions = events.map((event, n) => withoutValues(transition(event, outcome, context.policy), failures[n]));
  for (let pauseMs = 100; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
    try {
      await finishAll(context, events, transitions, durationMs, failures);
      return transitions;
    } catch (error) {
      if (blamesTheRow(error)) return writePlainly(context, events, transitions, durationMs);
      if (signal.aborted || !isDatabaseAway(error)) throw error;
      await sleep(pauseMs);
    }
  }
}

/** What operators read of an error repeats nothing of the record that it is about. */
function withoutValues(end: Transition, failure: Failure | undefined): Transition {
  return end.errorMessage === null || failure === undefined ? end : { ...end, errorMessage: failure.message };
}

/** An end whose own text PostgreSQL refuses must still be written, or the event would be tried for ever. */
async function writePlainly(
  context: WorkerContext,
  events: QueuedEvent[],
  transitions: Transition[],
  durationMs: number,
): Promise<Transition[]> {
  const errorMessage = 'the attempt failed, and its error text could not be stored';
  const plain = transitions.map((end) => ({ ...end, outcome: null, errorTag: 'UnknownError' as const, errorMessage }));
  await finishAll(context, events, plain, durationMs);
  return plain;
}

function finishAll(
  context: WorkerContext,
  events: QueuedEvent[],
  transitions: Transition[],
  durationMs: number,
  failures: (Failure | undefined)[] = [],
) {
  const finished = events.map((event, n) => ({
    ...{ event, durationMs },
    transition: transitions[n] as Transition,
    failure: failures[n],
  }));
  return inTransaction(context.pool, (client) => finish(client, context.workerId, finished));
}
