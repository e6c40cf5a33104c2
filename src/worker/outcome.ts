import { originOf } from '../db/origin.ts';
import { classify, isContention, isDatabaseAway, isLockTimeout, isServerUnableToWrite } from '../errors.ts';
import { StaleLease } from '../queue/finish.ts';
import type { Outcome } from '../queue/vocabulary.ts';
import { TooManyCalls } from './admit.ts';
import { Interrupted } from './context.ts';

const RATE_LIMIT_SECONDS = 60;
const AWAY_SECONDS = 1;

/** What a failed attempt means for its event. */
export function outcomeOf(error: unknown): Exclude<Outcome, { kind: 'succeeded' | 'crashed' }> {
  const { tag, permanent, message, retryAfterSeconds } = classify(error);
  if (error instanceof TooManyCalls)
    return { kind: 'unharmed', seconds: retryAfterSeconds ?? RATE_LIMIT_SECONDS, tag, message };
  if (error instanceof Interrupted || error instanceof StaleLease)
    return { kind: 'released', seconds: 0, tag, message };
  if (isNobodysFault(error)) return { kind: 'released', seconds: AWAY_SECONDS, tag, message };
  if (tag === 'RateLimitError' && !permanent)
    return { kind: 'released', seconds: retryAfterSeconds ?? RATE_LIMIT_SECONDS, tag, message };
  return { kind: 'failed', tag, message, permanent, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
}

/**
 * True when the database could not do its work, and no event is to blame: it is away, or a statement of our own met a
 * passing condition such as a full disk. A handler's statement that fails is the handler's failure.
 */
export function isNobodysFault(error: unknown): boolean {
  const origin = originOf(error);
  if (origin === undefined) return false;
  return isDatabaseAway(error) || (origin === 'own' && isPassingCondition(error));
}

function isPassingCondition(error: unknown): boolean {
  return isServerUnableToWrite(error) || isLockTimeout(error) || isContention(error);
}

/** A deadlock or a serialization failure: the same transaction may succeed at once. */
export function isWorthRepeating(error: unknown): boolean {
  return originOf(error) !== undefined && isContention(error);
}
