/** Runs one call when the governor allows it; waits a little for that, and says why when it would have to wait long. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../db/database.ts';
import { ZohoError } from '../client/errors.ts';
import { type Lane, type QuotaLimits, takeCall } from './quota.ts';
import { type CallEnd, type DayQuota, endCall } from './quota-report.ts';

export type Governed = {
  db: Database;
  organizationId: string;
  limits: QuotaLimits;
  /** Longest wait inside the call; beyond it a ZohoError with `retryAfterSeconds` is thrown, and nobody is held up. */
  patienceMs: number;
};

export type Turn = {
  lane: Lane;
  signal?: AbortSignal | undefined;
  /** Told of each call that is sent, whatever becomes of it. */
  onCall?: (() => void) | undefined;
  /** Told the reason, a sentence, each time it changes while the call waits. */
  onWait?: ((reason: string) => void) | undefined;
};

/** How the work of a call ended, and what that says about the quota. */
export type Called<T> = { end: CallEnd; day: DayQuota | null } & ({ value: T } | { error: unknown });

/**
 * Waits for the governor's leave, then works. Throws ZohoError `quota` (or `day-limit`, `minute-limit` while Zoho itself
 * blocks us) without having called when the wait would be longer than the patience; the signal's reason when aborted.
 */
export async function governed<T>(governor: Governed, turn: Turn, work: () => Promise<Called<T>>): Promise<T> {
  const { db, organizationId } = governor;
  const callId = await turnOf(governor, turn);
  // The work was cut off, unless it says otherwise: nothing was learned.
  let called: Called<T> | undefined;
  try {
    called = await work();
  } finally {
    await endCall(db, { organizationId, callId }, called?.end ?? { kind: 'cut-off' }, called?.day ?? null);
  }
  if ('error' in called) throw called.error;
  return called.value;
}

async function turnOf({ db, organizationId, limits, patienceMs }: Governed, turn: Turn): Promise<string> {
  const giveUpAt = performance.now() + patienceMs;
  let told: string | undefined;
  for (;;) {
    turn.signal?.throwIfAborted();
    const grant = await takeCall(db, organizationId, turn.lane, limits);
    if (grant.granted) return grant.callId;
    const { reason, waitMs, pauseCode } = grant;
    if (performance.now() + waitMs > giveUpAt) throw tooLong(reason, waitMs, pauseCode);
    if (reason !== told) turn.onWait?.(reason);
    told = reason;
    // Jitter: those who were refused together do not come back together.
    await sleep(waitMs + Math.random() * Math.min(waitMs, 100), undefined, { signal: turn.signal }).catch(() => {});
  }
}

function tooLong(reason: string, waitMs: number, pauseCode: number | null): ZohoError {
  const problem = pauseCode === 45 ? 'day-limit' : pauseCode === 44 ? 'minute-limit' : 'quota';
  return new ZohoError(problem, reason, { retryAfterSeconds: Math.max(1, Math.ceil(waitMs / 1000)) });
}
