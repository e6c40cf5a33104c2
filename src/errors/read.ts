/** Reading what may be hostile: anything can be thrown, also a revoked Proxy or an object whose getters throw. */

/** Reads a property of anything; what cannot be read counts as absent. Never throws. */
export function read(object: unknown, key: string | number): unknown {
  if (object === null || (typeof object !== 'object' && typeof object !== 'function')) return undefined;
  try {
    return (object as Record<string | number, unknown>)[key];
  } catch {
    return undefined;
  }
}

/** A property that is a text, or ''. */
export function text(object: unknown, key: string): string {
  const value = read(object, key);
  return typeof value === 'string' ? value : '';
}

/** What `ask` answers, or undefined when it throws (as `instanceof` and Array.isArray do for a revoked Proxy). */
export function attempt<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}

const MAX_LINKS = 10;

/**
 * The error, its causes and the parts of an AggregateError (Node throws one when every address of a host refuses), the
 * outermost first; at most ten, each once. `fetch` hides ECONNREFUSED behind "fetch failed".
 */
export function chain(error: unknown): unknown[] {
  const links: unknown[] = [];
  const add = (link: unknown) => {
    if (link == null || links.length >= MAX_LINKS || links.includes(link)) return;
    links.push(link);
    add(read(link, 'cause'));
    const parts = read(link, 'errors');
    if (attempt(() => Array.isArray(parts))) for (let at = 0; at < MAX_LINKS; at += 1) add(read(parts, at));
  };
  add(error);
  return links;
}
