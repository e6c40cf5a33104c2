/** The words of the queue. A leaf: it imports nothing but the error tags. */
import type { ErrorTag } from '../errors.ts';

/** The five statuses of `tds_sync_queue.status`; there are no others. */
export const STATUSES = ['pending', 'processing', 'retry', 'completed', 'dead_letter'] as const;
export type Status = (typeof STATUSES)[number];

/** How one attempt ended, as `tds_sync_logs.status` says it. `released`: given back uncharged. */
export type LogStatus = 'completed' | 'retry' | 'dead_letter' | 'released' | 'crashed';

/** How one attempt at an event ended. Times in seconds. */
export type Outcome =
  | { kind: 'succeeded'; label: string | null }
  | { kind: 'failed'; tag: ErrorTag; message: string; permanent: boolean; retryAfterSeconds?: number }
  /** Broken off by something that is not its fault: a rate limit it met, a shutdown, a database that is away. */
  | { kind: 'released'; seconds: number; tag: ErrorTag; message: string }
  /** Its handlers were not begun, or it only stood behind another event: never charged, however often. */
  | { kind: 'unharmed'; seconds: number; tag: ErrorTag | null; message: string | null }
  /** Its worker died. `alone`: it was all the worker had in hand, so it is the cause. */
  | { kind: 'crashed'; alone: boolean };
