/** How an incremental pull reads a module, and when a list that must be read whole is worth its calls. Pure. */
import type { PullStrategy } from '../zoho/modules/modules.ts';
import type { PullModule } from '../zoho/modules/pull-modules.ts';
import type { Mark } from './marks.ts';

/** How far a window reaches back behind the mark: clocks differ, and Zoho's times have whole seconds. */
export const OVERLAP_MS = 5 * 60_000;

const WEEK_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;
/** A page per so many calls left today is read whenever asked; beyond that a list has this part of a day's calls. */
const CALLS_PER_PAGE = 2000;
const SHARE_OF_DAY = 0.02;
/** Of the smallest plan, while Zoho has not told the limit. */
const SMALLEST_DAY = 1000;

export type Approach = { strategy: PullStrategy; since: Date | null };

/**
 * The window of a module's incremental pull. Without a mark everything is new; once a week a module that changes without
 * a new time is read whole.
 */
export function approachOf(module: PullModule, mark: Mark | null, since: Date | null, now: Date): Approach {
  const from = since ?? (mark && new Date(mark.knownUntil.getTime() - OVERLAP_MS));
  if (from === null || module.strategy === 'full-scan') return { strategy: 'full-scan', since: null };
  const scannedAt = mark?.scannedAt?.getTime() ?? 0;
  if (module.changesSilently && now.getTime() - scannedAt >= WEEK_MS) return { strategy: 'full-scan', since: null };
  return { strategy: module.strategy, since: from };
}

/**
 * Whether a list that was read whole may be read again now: always when it is short or was never read, else when enough
 * time has passed that its pages take no more than a small part of a day's calls.
 */
export function fullScanDue(
  mark: Mark | null,
  quota: { limit: number | null; left: number | null },
  now: Date,
): boolean {
  if (mark?.scannedAt == null || mark.scannedPages === null) return true;
  if (quota.left !== null && mark.scannedPages * CALLS_PER_PAGE <= quota.left) return true;
  const callsPerDay = (quota.limit ?? SMALLEST_DAY) * SHARE_OF_DAY;
  return now.getTime() - mark.scannedAt.getTime() >= (mark.scannedPages / callsPerDay) * DAY_MS;
}
