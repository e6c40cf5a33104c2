import { TaggedError } from '../../../src/errors.ts';

/** For deliveries that must end as dead letters. */
export default {
  eventTypes: ['journal.*'],
  async handle() {
    throw new TaggedError('ValidationError', 'the books are closed', { permanent: true });
  },
};
