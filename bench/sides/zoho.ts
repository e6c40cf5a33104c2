/** The stand-in for Zoho Books, which limits nobody here. It stays until its parent ends it. */
import { Books } from '../../test/zoho/books.ts';
import { StandIn } from '../../test/zoho/stand-in.ts';
import { side } from '../side.ts';

side<{ items: number }, Record<string, string>>(async ({ items }) => {
  const limits = { enforce: false, callsPerDay: 100_000_000 };
  // Nothing is torn down: the process ends.
  const standIn = await StandIn.start({ teardown: () => {} }, { books: new Books().fill({ item: items }), limits });
  return { ...standIn.environment, ZOHO_CALLS_PER_MINUTE: '1000000', ZOHO_CALLS_IN_FLIGHT: '20' };
});
