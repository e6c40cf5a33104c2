import { isNumber } from '../lossless.ts';

/** One place at which two values differ; `before` or `after` is missing where there is nothing. */
export type Difference = { path: string; before?: unknown; after?: unknown };

/** Deeper than any record of Zoho Books: below it values are compared as a whole. */
const MAX_DEPTH = 100;

/**
 * Where two JSON values differ, by JSON pointers (RFC 6901) into them, in the order of the first. Numbers are compared
 * as they are written.
 * @param before of parseLossless, as `after`
 */
export function differences(before: unknown, after: unknown, path = '', depth = 0): Difference[] {
  if (
    isContainer(before) &&
    isContainer(after) &&
    Array.isArray(before) === Array.isArray(after) &&
    depth < MAX_DEPTH
  ) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) => {
      const below = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
      if (!Object.hasOwn(before, name)) return [{ path: below, after: after[name] }];
      if (!Object.hasOwn(after, name)) return [{ path: below, before: before[name] }];
      return differences(before[name], after[name], below, depth + 1);
    });
  }
  return JSON.stringify(before) === JSON.stringify(after) ? [] : [{ path, before, after }];
}

function isContainer(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !isNumber(value);
}
