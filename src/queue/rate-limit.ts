import type { Pool } from 'pg';

/** At most `max` calls in a window of `durationMs`, which begins with its first call; counted for the whole fleet. */
export type RateLimit = { max: number; durationMs: number };

/** Where a call stands: the how-manieth of its window, and how long that window still lasts. */
export type CallCount = { calls: number; remainingMs: number };

/** Counts one call under this name. */
export type CountCall = (name: string, durationMs: number) => Promise<CallCount>;

/** Nobody is sent away for longer: the limit may be raised, or the queue emptied, in the meantime. */
const LONGEST_WAIT_MS = 600_000;

/**
 * How long a counted call has to wait; 0 when it may be made now. Calls beyond the limit are spread over the windows
 * to come, `max` in each: sent all to the next one, most would come only to be sent away again.
 */
export function waitMs({ max, durationMs }: RateLimit, { calls, remainingMs }: CallCount): number {
  const windowsAhead = Math.floor((calls - 1) / max);
  if (windowsAhead === 0) return 0;
  return Math.min(LONGEST_WAIT_MS, remainingMs + (windowsAhead - 1) * durationMs);
}

/** The counter where there is no Redis: one row per name, one short statement per call. */
export async function countCallInPostgres(pool: Pool, name: string, durationMs: number): Promise<CallCount> {
  const { rows } = await pool.query<{ calls: string; remaining_ms: number }>({
    name: 'count call',
    text: COUNT_CALL,
    values: [name, durationMs],
  });
  return { calls: Number(rows[0]?.calls), remainingMs: Number(rows[0]?.remaining_ms) };
}

// clock_timestamp(), not now(): whoever waited for the row's lock has to count in the window that is now.
const COUNT_CALL = `
insert into tds_rate_limits as l (name, calls, window_ends_at)
values ($1, 1, clock_timestamp() + $2 * interval '1 millisecond')
on conflict (name) do update set
  calls = case when l.window_ends_at > clock_timestamp() then l.calls + 1 else 1 end,
  window_ends_at = case when l.window_ends_at > clock_timestamp() then l.window_ends_at else excluded.window_ends_at end
returning calls, extract(epoch from window_ends_at - clock_timestamp())::float8 * 1000 as remaining_ms`;
