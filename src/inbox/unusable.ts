/** An authentic delivery that cannot be processed; the message says why and what to do, for the operator. */
export class Unusable extends Error {}

const NAME = /^[a-z][a-z0-9_-]{0,39}$/i;

/**
 * A name from a sender as it may stand in a reason, a list or a log: null unless it looks like the name of a module. A
 * key or a segment of a URL may as well be somebody's address.
 */
export function showableName(name: string | null | undefined): string | null {
  return name !== null && name !== undefined && NAME.test(name) ? name : null;
}
