import { TaggedError } from '../errors.ts';
import { DEFAULT_TIMEOUT_MS, type Handler, type HandlerContext, type QueuedEvent } from '../handlers/handler.ts';
import type { Registry } from '../handlers/registry.ts';
import { inSpan } from '../tracing.ts';
import type { Containment } from './containment.ts';
import type { WorkerContext } from './context.ts';

/** Handlers that went on after their time-out, in this process. Each holds memory and perhaps a socket. */
export const leaked = new Set<Promise<unknown>>();

/** Which handler threw an error. */
const throwers = new WeakMap<object, string>();

/** The name of the handler that threw this, if one did. */
export function handlerOf(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null ? throwers.get(error) : undefined;
}

/** The longest that a handler of these events may take, in milliseconds. */
export function timeoutOf(registry: Registry, events: QueuedEvent[]): number {
  const types = new Set(events.map((event) => event.eventType));
  const handlers = [...types].flatMap((type) => registry.matching(type));
  return Math.max(...handlers.map((handler) => handler.timeoutMs ?? DEFAULT_TIMEOUT_MS), 1);
}

/** What handlers of one attempt share. */
type Run = Pick<HandlerContext, 'trx' | 'signal'> & { containment: Containment };

/** True when a handler other than the built-in mirror will run. */
export function runsForeignCode(registry: Registry, events: QueuedEvent[]): boolean {
  const types = new Set(events.map((event) => event.eventType));
  return [...types].some((type) => registry.matching(type).some((handler) => handler.name !== 'mirror'));
}

/** Runs every set handler of these events, in the order of the registry. Returns outcome labels by event id. */
export async function runOnSet(
  context: WorkerContext,
  { trx, signal, containment }: Run,
  events: QueuedEvent[],
): Promise<Map<string, string>> {
  const labels = new Map<string, string>();
  for (const [handler, wanted] of eventsByHandler(context.registry, events)) {
    if (!handler.handleBatch) continue;
    const handlerContext = { trx, signal, log: context.log };
    const work = { handler: handler.name, events: wanted };
    const found = await withTimeout(handler, handlerContext, (limited) =>
      containment.run(work, limited.signal, async (own) => handler.handleBatch?.(wanted, { ...limited, signal: own })),
    );
    // The first handler to name an outcome wins: the mirror knows best what became of the record.
    for (const [id, label] of found ?? []) if (!labels.has(id)) labels.set(id, label);
  }
  return labels;
}

function eventsByHandler(registry: Registry, events: QueuedEvent[]): Map<Handler, QueuedEvent[]> {
  const wanted = new Map<Handler, QueuedEvent[]>(registry.handlers.map((handler) => [handler, []]));
  for (const event of events)
    for (const handler of registry.matching(event.eventType)) wanted.get(handler)?.push(event);
  return new Map([...wanted].filter(([, matching]) => matching.length > 0));
}

/** Runs the handlers that take one event at a time; the transaction begins when the first of them needs it. */
export async function runOnOne(
  context: WorkerContext,
  { trx, signal, containment }: Run,
  event: QueuedEvent,
): Promise<void> {
  for (const handler of context.registry.matching(event.eventType)) {
    if (!handler.handle || handler.handleBatch) continue;
    const log = context.log.child({ event_id: event.id, handler: handler.name });
    const handlerContext = { trx, signal, log };
    const work = { handler: handler.name, events: [event] };
    await withTimeout(handler, handlerContext, (limited) =>
      containment.run(work, limited.signal, async (own) => handler.handle?.(event, { ...limited, signal: own })),
    );
  }
}

/**
 * Runs a handler until it is done, its time is up or the worker interrupts it; the last two reject at once, whether
 * the handler heeds its signal or not.
 */
async function withTimeout<T>(
  handler: Handler,
  context: HandlerContext,
  run: (context: HandlerContext) => Promise<T> | undefined,
): Promise<T | undefined> {
  const timeoutMs = handler.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const controller = new AbortController();
  const timedOut = () =>
    controller.abort(new TaggedError('TimeoutError', `handler ${handler.name} did not finish within ${timeoutMs} ms`));
  const timer = setTimeout(timedOut, timeoutMs);
  const signal = AbortSignal.any([context.signal, controller.signal]);
  try {
    return await inSpan(`handler ${handler.name}`, {}, () => {
      const running = (async () => run({ ...context, signal }))();
      return Promise.race([running, rejectOnAbort(signal, running)]);
    });
  } catch (error) {
    if (typeof error === 'object' && error !== null && error !== context.signal.reason)
      throwers.set(error, handler.name);
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

function rejectOnAbort(signal: AbortSignal, running: Promise<unknown>): Promise<never> {
  return new Promise((_, reject) => {
    const abort = () => {
      leaked.add(running);
      running.catch(() => {}).finally(() => leaked.delete(running));
      reject(signal.reason);
    };
    if (signal.aborted) abort();
    else signal.addEventListener('abort', abort, { once: true });
    running.catch(() => {}).finally(() => signal.removeEventListener('abort', abort));
  });
}
