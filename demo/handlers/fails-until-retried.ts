import type { Handler } from '../../src/handlers/handler.ts';

/** Fails `contact.demo_failure` until an operator retries its dead letter: something to retry. */
export default {
  eventTypes: ['contact.demo_failure'],
  async handle(event, { trx }) {
    const letter = await trx
      .selectFrom('tds_dead_letter_queue')
      .select('retry_count')
      .where('id', '=', event.id)
      .executeTakeFirst();
    if (!letter) throw new Error('this demo fails until you retry it');
  },
} satisfies Omit<Handler, 'name'>;
