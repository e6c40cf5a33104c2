import type { HandlerContext, QueuedEvent } from '../../../src/handlers/handler.ts';
import { behave } from '../behaviour.ts';

/** Everything in sets, so that the workers claim, complete and fence in sets too. */
export default {
  eventTypes: ['invoice.*', 'expense.*'],
  timeoutMs: 3_600_000,
  async handleBatch(events: QueuedEvent[], context: HandlerContext) {
    for (const event of events) await behave(event, context);
  },
};
