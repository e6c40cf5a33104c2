/**
 * Keeps what a handler does wrong inside its event. Errors that escape it (a promise nobody awaits, a timer that
 * throws) are traced to the handler through AsyncLocalStorage and fail its event's attempt; the process goes on.
 *
 * Why not a thread or a process per handler: `ctx.trx` is a transaction on a live connection, which cannot be handed
 * over. Every statement would travel as a copy (25 kB and back: 30 us to a thread, 190 us to a process, against 2 us
 * for all of this), and each costs 15 MB and 45 ms, or 45 MB; a thread that runs out of memory or calls abort() still
 * takes the process with it.
 *
 * What is traced (Node 24): whatever began in the handler, such as promises, timers, microtasks, callbacks of files,
 * sockets and child processes. What is not, and ends the process as before: a listener that a handler adds to an object
 * which existed before it, and a promise of its own that only others reject. The one such object that we give it, its
 * abort signal, is made within the handler for this reason.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { classify, personalValues, redactDetail } from '../errors.ts';
import { exitOnFatalErrors, type Logger } from '../log.ts';
import { inHand, summary, type Work } from './in-hand.ts';

type Contained = Work & {
  /** Fails the attempt as long as the handler is at work. */
  fail(error: unknown): void;
  escapes: number;
};

const current = new AsyncLocalStorage<Contained | undefined>();

/** The handlers of one attempt. */
export class Containment {
  #escaped: { error: unknown } | undefined;

  /**
   * Runs a handler with a signal that aborts when `signal` does. Rejects with what the handler throws or with what
   * escapes from it meanwhile, whichever comes first. Whatever it starts stays traced to it after the end.
   */
  run<T>(work: Work, signal: AbortSignal, handle: (signal: AbortSignal) => Promise<T> | T): Promise<T> {
    const escaping = Promise.withResolvers<never>();
    const fail = (error: unknown) => {
      this.#escaped ??= { error };
      escaping.reject(error);
    };
    const contained = { ...work, fail, escapes: 0 };
    const running = follow(signal, contained, (own) => current.run(contained, note, work, own, handle));
    return Promise.race([escaping.promise, running]);
  }

  /** Throws what escaped from a handler that had returned already. Call it right before COMMIT. */
  throwEscaped(): void {
    if (this.#escaped) throw this.#escaped.error;
  }
}

/** The handler whose code runs right now, or which started what runs right now. */
export function workInHand(): Work | undefined {
  return current.getStore();
}

/**
 * Runs our own code on behalf of a handler, such as opening a connection that outlives it. Without this the errors of
 * that connection would be traced to whichever handler happened to need it first.
 */
export function outsideHandlers<T>(run: () => T): T {
  return current.run(undefined, run);
}

/**
 * Decides about errors that nobody caught, in this one place: one that is traced to a handler fails its attempt, is
 * logged once, and the process goes on; any other is the last line of the log and ends the process with code 1.
 */
export function containErrors(log: Logger): void {
  exitOnFatalErrors(log, (error) => {
    const work = current.getStore();
    if (work) outsideHandlers(() => blame(log, work, error));
    return work !== undefined;
  });
  // A promise that a handler awaits too late has failed its attempt already: Node need not warn of it as well.
  process.on('rejectionHandled', () => {});
}

function blame(log: Logger, work: Contained, error: unknown): void {
  work.escapes += 1;
  work.fail(error);
  // An interval that throws would write a line each time.
  if (work.escapes === 1) logEscape(log, work, error);
}

/** Of a set, so many records are looked at for what the error may repeat. */
const MAX_RECORDS = 20;

function logEscape(log: Logger, work: Work, error: unknown): void {
  const { handler, eventId, eventType, events } = summary(work);
  const { tag, detail } = classify(error);
  const values = work.events.slice(0, MAX_RECORDS).flatMap(({ payloadText }) => personalValues(payloadText ?? null));
  const fields = { handler, event_id: eventId, event_type: eventType, events, error_tag: tag };
  log.error({ component: 'worker', ...fields, ...redactDetail(detail, values) }, 'an error escaped from a handler');
}

/**
 * Listeners run as part of whoever aborts, which would be us: their errors could not be traced. A signal made in the
 * handler and aborted as part of it can.
 */
async function follow<T>(
  signal: AbortSignal,
  work: Contained,
  handle: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const abort = () => current.run(work, () => controller.abort(signal.reason));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await handle(controller.signal);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

async function note<T>(work: Work, signal: AbortSignal, handle: (signal: AbortSignal) => Promise<T> | T): Promise<T> {
  const slot = inHand.enter(work);
  try {
    return await inHand.runBeginning(slot, () => handle(signal));
  } finally {
    inHand.leave(slot);
  }
}
