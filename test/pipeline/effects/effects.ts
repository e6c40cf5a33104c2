/** The handler of the kill test: its effects are two rows, written through the event's own transaction. */
import { sql } from 'kysely';
import type { Handler } from '../../../src/handlers/handler.ts';

const effects: Omit<Handler, 'name'> = {
  eventTypes: ['*'],
  async handle({ id }, { trx }) {
    // The first would refuse a second effect, the second would show it.
    await sql`insert into protected_effects (event_id) values (${id})`.execute(trx);
    await sql`insert into appended_effects (event_id) values (${id})`.execute(trx);
  },
};

export default effects;
