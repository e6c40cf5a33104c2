import { defineHandler } from 'tds-core';

/**
 * Fails every attempt at its events until an operator retries the dead letter they become. Nothing but `npm run demo`
 * sends events of this type.
 */
export default defineHandler({
  eventTypes: ['contact.demo_failure'],
  async handle(event, { trx }) {
    const letter = await trx
      .selectFrom('tds_dead_letter_queue')
      .select('retry_count')
      .where('id', '=', event.id)
      .executeTakeFirst();
    if (!letter) throw new Error('demo: fails until an operator retries it');
  },
});
