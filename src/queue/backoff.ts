export type RetryPolicy = { maxAttempts: number; baseSeconds: number; maxSeconds: number };

/**
 * Seconds until the next attempt after `attempt` failed ones: base, 2 x base, 4 x base … up to the maximum, of which
 * the last quarter is drawn at random, so that events that failed together do not come back together.
 */
export function backoffSeconds(attempt: number, policy: RetryPolicy, random: () => number = Math.random): number {
  const full = Math.min(policy.maxSeconds, policy.baseSeconds * 2 ** (attempt - 1));
  return full * (0.75 + 0.25 * random());
}
