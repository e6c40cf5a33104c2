/** How a pull reads a list, and when what Zoho answers shows that it must read it otherwise. Pure. */
import type { PullStrategy } from './modules.ts';

type Row = { version: Date | null };

/** Zoho's times have whole seconds, and its documents disagree whether a filter includes its own second. */
const SECOND_MS = 1000;

/**
 * The strategy to go on with after a page: a filtered page that holds older rows shows that the filter was ignored, a
 * sorted one that is not in order that the sorting was. Then the list must be read from its first page again.
 */
export function strategyAfterPage(strategy: PullStrategy, rows: readonly Row[], since: Date): PullStrategy {
  if (strategy === 'filter' && filterIgnored(rows, since)) return 'full-scan';
  if (strategy === 'sorted-scan' && !newestFirst(rows)) return 'full-scan';
  return strategy;
}

/** Whether a sorted scan has come to rows that a former pull has seen: nothing newer can follow. */
export function reachedMark(rows: readonly Row[], since: Date): boolean {
  const last = rows.at(-1)?.version;
  return last != null && last.getTime() < since.getTime();
}

function filterIgnored(rows: readonly Row[], since: Date): boolean {
  return rows.some(({ version }) => version !== null && version.getTime() < since.getTime() - SECOND_MS);
}

/** A row without a version cannot be in order: sorting by something it lacks says nothing. */
function newestFirst(rows: readonly Row[]): boolean {
  return rows.every(({ version }, index) => {
    const before = rows[index - 1]?.version;
    return version !== null && (before == null || version.getTime() <= before.getTime());
  });
}
