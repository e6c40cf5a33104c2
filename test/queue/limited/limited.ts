/** Leaves a row per call, and may be called five times in half a second by all workers together. */
import { sql } from 'kysely';
import type { HandlerContext, QueuedEvent } from '../../../src/handlers/handler.ts';

export const LIMIT = { max: 5, durationMs: 500 };

export default {
  eventTypes: ['invoice.*'],
  rateLimit: LIMIT,
  async handle(event: QueuedEvent, { trx }: HandlerContext) {
    await sql`insert into effects (event_id, entity_id, arrival, attempt)
              values (${event.id}, ${event.entityId}, ${event.arrival}, ${event.attempt})`.execute(trx);
  },
};
