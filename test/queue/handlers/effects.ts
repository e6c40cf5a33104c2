/** Leaves one row per run that committed, in a table that allows duplicates, and fails as its payload says. */
import { sql } from 'kysely';
import { TaggedError } from '../../../src/errors.ts';
import type { HandlerContext, QueuedEvent } from '../../../src/handlers/handler.ts';

type Orders = { fail?: 'always' | 'once' | 'forever wrong' };

/** Held by a test: nothing gets past until it resolves. */
export const gate = { opened: Promise.resolve(), entered: 0 };

export function closeGate(): () => void {
  const { promise, resolve } = Promise.withResolvers<void>();
  Object.assign(gate, { opened: promise, entered: 0 });
  return resolve;
}

export default {
  eventTypes: ['invoice.*'],
  async handle(event: QueuedEvent, { trx }: HandlerContext) {
    gate.entered += 1;
    await gate.opened;
    const { fail } = event.payload as Orders;
    await sql`insert into effects (event_id, entity_id, arrival, attempt)
              values (${event.id}, ${event.entityId}, ${event.arrival}, ${event.attempt})`.execute(trx);
    if (fail === 'forever wrong') throw new TaggedError('ValidationError', 'will never be right');
    if (fail === 'always' || (fail === 'once' && event.attempt === 1)) throw new Error('not this time');
  },
};
