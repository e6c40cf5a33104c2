import type { PoolClient } from 'pg';
import { kyselyOver, type LazyTransaction, TransactionOver } from '../db/transaction.ts';
import { TaggedError } from '../errors.ts';
import { DEFAULT_TIMEOUT_MS, type Handler, type HandlerContext, type QueuedEvent } from '../handlers/handler.ts';
import type { Registry } from '../handlers/registry.ts';
import type { Crew } from './crew.ts';

/** Handlers that went on after their time-out, in this process. Each holds memory and perhaps a socket. */
export const leaked = new Set<Promise<unknown>>();

/** Runs every handler of a set of events on `client`, in the order of the registry. Returns outcome labels by queue id. */
export async function runOnSet(
  crew: Crew,
  client: PoolClient,
  events: QueuedEvent[],
  signal: AbortSignal,
): Promise<Map<string, string>> {
  const labels = new Map<string, string>();
  const { trx, close } = borrow(client);
  try {
    for (const [handler, wanted] of eventsByHandler(crew.registry, events)) {
      if (!handler.handleBatch) continue;
      const context = { trx, signal, log: crew.log };
      const found = await withTimeout(handler, context, (limited) => handler.handleBatch?.(wanted, limited));
      // The first handler to name an outcome wins: the mirror knows best what became of the record.
      for (const [id, label] of found ?? []) if (!labels.has(id)) labels.set(id, label);
    }
    return labels;
  } finally {
    close();
  }
}

/** A handler that goes on after its time-out must not write into whatever the client is used for next. */
function borrow(client: PoolClient) {
  let closed = false;
  const trx = kyselyOver(async (text, parameters) => {
    if (closed) throw new TransactionOver();
    return client.query(text, parameters);
  });
  return {
    trx,
    close() {
      closed = true;
    },
  };
}

function eventsByHandler(registry: Registry, events: QueuedEvent[]): Map<Handler, QueuedEvent[]> {
  const wanted = new Map<Handler, QueuedEvent[]>(registry.handlers.map((handler) => [handler, []]));
  for (const event of events)
    for (const handler of registry.matching(event.eventType)) wanted.get(handler)?.push(event);
  return new Map([...wanted].filter(([, matching]) => matching.length > 0));
}

/** Runs the handlers that take one event at a time; `lazy` begins when the first of them touches the database. */
export async function runOnOne(
  crew: Crew,
  lazy: LazyTransaction,
  event: QueuedEvent,
  signal: AbortSignal,
): Promise<void> {
  for (const handler of crew.registry.matching(event.eventType)) {
    if (!handler.handle || handler.handleBatch) continue;
    const log = crew.log.child({ event_id: event.eventId, queue_id: event.id, handler: handler.name });
    const context = { trx: lazy.trx, signal, log };
    await withTimeout(handler, context, (limited) => handler.handle?.(event, limited));
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
    const running = Promise.resolve(run({ ...context, signal }));
    return await Promise.race([running, rejectOnAbort(signal, running)]);
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
