import { defineHandler } from 'tds-core';

/**
 * Fails every attempt at its events until an operator retries the dead letter they become. Nothing but `npm run demo`
 * sends events of this type.
 */
export default defineHandler({
  eventTypes: ['contact.demo_failure'],
  async handle(event) {
    if (event.deadLetterId === null) throw new Error('demo: fails until an operator retries it');
  },
});
