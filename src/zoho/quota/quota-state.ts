/** Where an organization's quota stands, for the console, the command line and readiness. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';

export type QuotaState = {
  organization_id: string;
  calls_last_minute: number;
  calls_in_flight: number;
  /** Null until an answer has carried Zoho's headers. */
  day_limit: number | null;
  day_remaining: number | null;
  day_resets_at: Date | null;
  /** Calls of this system in the current day, and calls of everybody else; null while Zoho's count is unknown. */
  our_calls: number;
  others_calls: number | null;
  paused_until: Date | null;
  pause_reason: string | null;
};

/** Below this part of the day's calls, what can wait is done less often. */
const SHORT = 0.25;

/** The organizations that have less than a quarter of the day's calls left; one whose quota is unknown is not short. */
export async function shortOfCalls(db: Database): Promise<Set<string>> {
  const short = (await quotaStates(db)).filter(
    ({ day_limit, day_remaining }) => day_limit !== null && day_remaining !== null && day_remaining < SHORT * day_limit,
  );
  return new Set(short.map(({ organization_id }) => organization_id));
}

/** The quota of every organization that was ever called, in the order of their ids. */
export async function quotaStates(db: Database): Promise<QuotaState[]> {
  const { rows } = await sql<QuotaState>`
    select organization_id, c.calls_last_minute, c.calls_in_flight, day_limit,
      case when current then day_remaining end as day_remaining,
      case when current then day_resets_at end as day_resets_at,
      case when day_resets_at <= clock_timestamp() then 0 else our_calls end as our_calls,
      case when current then greatest(0, day_limit - day_remaining - our_calls) end as others_calls,
      case when paused_until > clock_timestamp() then paused_until end as paused_until,
      case when paused_until > clock_timestamp() then pause_reason end as pause_reason
    from tds_zoho_quota q
    cross join lateral (select day_resets_at > clock_timestamp() as current) known
    cross join lateral (
      select count(*) filter (where started_at > clock_timestamp() - interval '1 minute')::int as calls_last_minute,
        count(*) filter (where ended_at is null and expires_at > clock_timestamp())::int as calls_in_flight
      from tds_zoho_calls where organization_id = q.organization_id) c
    order by organization_id`.execute(db);
  return rows;
}
