import { blameDatabase } from '../db/weather.ts';
import { TaggedError } from '../errors.ts';
import type { Handler, QueuedEvent } from '../handlers/handler.ts';
import { waitMs } from '../queue/rate-limit.ts';
import type { Crew } from './crew.ts';

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
export async function admit(crew: Crew, events: QueuedEvent[]): Promise<void> {
  if (!crew.registry.anyLimited) return;
  const wanted = new Set(events.flatMap((event) => crew.registry.matching(event.eventType)));
  for (const handler of wanted) {
    if (!handler.rateLimit) continue;
    const { name, rateLimit } = handler;
    const count = await crew.dispatcher.countCall(name, rateLimit.durationMs).catch(blameDatabase);
    const wait = waitMs(rateLimit, count);
    if (wait > 0) throw new TooManyCalls(handler, wait);
  }
}
