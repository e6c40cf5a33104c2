import { ownStatement } from '../db/origin.ts';
import { TaggedError } from '../errors.ts';
import type { Handler, QueuedEvent } from '../handlers/handler.ts';
import { waitMs } from '../queue/rate-limit.ts';
import type { WorkerContext } from './context.ts';

/** A handler's rate limit is used up: whatever wanted to call it comes back later, at no cost of an attempt. */
export class TooManyCalls extends TaggedError {
  constructor(handler: Handler, waitMilliseconds: number) {
    super('RateLimitError', `waits for the rate limit of handler ${handler.name}`, {
      retryAfterSeconds: waitMilliseconds / 1000,
    });
  }
}

/**
 * Counts a call of every rate-limited handler that these events concern, before the first of them runs: a handler
 * that waited in the middle would let those before it run twice.
 * @throws TooManyCalls
 */
export async function admit(context: WorkerContext, events: QueuedEvent[]): Promise<void> {
  if (!context.registry.anyLimited) return;
  const wanted = new Set(events.flatMap((event) => context.registry.matching(event.eventType)));
  for (const handler of wanted) {
    if (!handler.rateLimit) continue;
    const { name, rateLimit } = handler;
    const count = await context.dispatcher.countCall(name, rateLimit.durationMs).catch(ownStatement);
    const wait = waitMs(rateLimit, count);
    if (wait > 0) throw new TooManyCalls(handler, wait);
  }
}
