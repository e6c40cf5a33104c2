import { HandlerTransaction } from '../db/handler-transaction.ts';
import { TaggedError } from '../errors.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import { type Finished, finish, StaleLease } from '../queue/finish.ts';
import { transition } from '../queue/state.ts';
import { admit } from './admit.ts';
import { logSet, logStale } from './attempt-log.ts';
import { noteEnd, traceAttempts } from './attempt-spans.ts';
import { Containment, outsideHandlers } from './containment.ts';
import type { WorkerContext } from './context.ts';
import { endWithoutEffects } from './end.ts';
import { isWorthRepeating, outcomeOf } from './outcome.ts';
import { reportFailure } from './report.ts';
import { runOnOne, runOnSet, runsForeignCode, timeoutOf } from './run-handlers.ts';

const CONTENTION_TRIES = 5;

/**
 * One event, from claim to outcome: all its handlers, then its end, in one transaction. Deadlocks and serialization
 * failures are tried again at once a few times and then charged.
 */
export async function executeOne(context: WorkerContext, event: QueuedEvent, signal: AbortSignal): Promise<void> {
  context.crash('after_claim');
  await traceAttempts([event], () => untilEnded(context, event, signal));
}

async function untilEnded(context: WorkerContext, event: QueuedEvent, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  for (let tries = 1; ; tries += 1) {
    try {
      return await attempt(context, [event], signal);
    } catch (error) {
      if (error instanceof StaleLease) return logStale(context.log, [event]);
      if (isWorthRepeating(error) && tries < CONTENTION_TRIES && !signal.aborted) continue;
      const end = { outcome: outcomeOf(error), durationMs: performance.now() - started, error };
      await endWithoutEffects(context, [event], end, signal);
      return;
    }
  }
}

/**
 * A set of events whose handlers all take sets, in order of arrival: one transaction for handlers and end. If it fails
 * it is tried again in halves, so that only the culprit is charged.
 */
export async function executeSet(context: WorkerContext, events: QueuedEvent[], signal: AbortSignal): Promise<void> {
  context.crash('after_claim');
  await traceAttempts(events, () => runInHalves(context, events, signal, new Set()));
}

/**
 * Halves run one after the other, so the events of an entity stay in order. An event that has to wait takes the later
 * events of its entity back with it (the database does so): `heldBack` names those entities, whose events are left out.
 */
async function runInHalves(
  context: WorkerContext,
  set: QueuedEvent[],
  signal: AbortSignal,
  heldBack: Set<string>,
): Promise<void> {
  const events = set.filter((event) => !heldBack.has(event.entityKey));
  if (events.length === 0) return;
  try {
    await attempt(context, events, signal);
  } catch (error) {
    // What is no event's fault would meet each half again.
    const isShared = signal.aborted || outcomeOf(error).kind !== 'failed';
    if (events.length === 1 || isShared) return endAll(context, events, error, signal, heldBack);
    const middle = Math.ceil(events.length / 2);
    await runInHalves(context, events.slice(0, middle), signal, heldBack);
    await runInHalves(context, events.slice(middle), signal, heldBack);
  }
}

async function endAll(
  context: WorkerContext,
  events: QueuedEvent[],
  error: unknown,
  signal: AbortSignal,
  heldBack: Set<string>,
): Promise<void> {
  const ends = await endWithoutEffects(context, events, { outcome: outcomeOf(error), durationMs: 0, error }, signal);
  for (const [n, event] of events.entries()) if (ends[n]?.status !== 'dead_letter') heldBack.add(event.entityKey);
}

/** Handlers and end of one event or of a set, in one transaction. Throws what any of it throws, with nothing done. */
async function attempt(context: WorkerContext, events: QueuedEvent[], signal: AbortSignal): Promise<void> {
  const started = performance.now();
  for (const event of events) refuseQuarantined(event);
  await admit(context, events);
  let labels = new Map<string, string>();
  const containment = new Containment();
  const transaction = new HandlerTransaction({
    // A connection outlives the handler that first needs it: its errors are not the handler's.
    connect: () => outsideHandlers(() => context.handlerPool.connect()),
    foreignCode: runsForeignCode(context.registry, events),
    timeoutMs: timeoutOf(context.registry, events),
    onBegin: async (trx) => {
      labels = await runOnSet(context, { trx, signal, containment }, events);
    },
    endSession: (pid) => endSession(context, pid),
    observer: context.pool,
  });
  try {
    const [only] = events;
    if (only && events.length === 1) await runOnOne(context, { trx: transaction.trx, signal, containment }, only);
    const client = await transaction.takeOver();
    context.crash('after_effect');
    const durationMs = Math.round((performance.now() - started) * 1000) / events.length / 1000;
    const finished = events.map((event) => succeeded(context, event, labels.get(event.id), durationMs));
    await finish(client, context.workerId, finished);
    containment.throwEscaped();
    context.crash('before_commit');
    await transaction.commit();
    context.crash('after_commit');
    for (const { event, transition: end } of finished) noteEnd(event, end);
    logSet(
      context.log,
      finished.map(({ transition: end, ...rest }) => ({ ...rest, end })),
      performance.now() - started,
    );
  } catch (error) {
    await transaction.rollback();
    throw isReadable(error) ? error : new Error('a handler threw something that cannot be read');
  }
}

/** Of a revoked Proxy not even its class can be asked, and whoever asks would throw instead of ending the event. */
function isReadable(error: unknown): boolean {
  try {
    Object.getPrototypeOf(Object(error));
    return true;
  } catch {
    return false;
  }
}

function succeeded(
  context: WorkerContext,
  event: QueuedEvent,
  label: string | undefined,
  durationMs: number,
): Finished {
  const outcome = { kind: 'succeeded', label: label ?? null } as const;
  return { event, transition: transition(event, outcome, context.policy), durationMs };
}

async function endSession(context: WorkerContext, pid: number): Promise<void> {
  await context.pool.query('select pg_terminate_backend($1)', [pid]).catch((error: unknown) => {
    reportFailure(context, error, 'a session that we gave up could not be ended on the server');
  });
}

function refuseQuarantined(event: QueuedEvent): void {
  if (event.quarantineReason !== null)
    throw new TaggedError('ValidationError', event.quarantineReason, { permanent: true });
}
