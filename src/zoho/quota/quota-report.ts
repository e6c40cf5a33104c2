/** What an answer of Zoho teaches the governor: what is left of the day, and when everybody has to pause. */
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { FAILURES_THAT_PAUSE } from './quota.ts';

/** The daily quota as the headers X-Rate-Limit-Limit, -Remaining and -Reset of an answer give it. */
export type DayQuota = { limit: number; remaining: number; resetsInSeconds: number };

/** How a call ended, as far as the quota is concerned. */
export type CallEnd =
  | { kind: 'answered' }
  /** Ended by us, before an answer. */
  | { kind: 'cut-off' }
  /** The API is in trouble: 5xx, time-out, network, something that is not JSON. */
  | { kind: 'failed'; why: string }
  /** 429 with this code of Zoho's. */
  | { kind: 'limited'; code: number | undefined };

const MINUTE_LIMIT = 44;
const DAY_LIMIT = 45;
const IN_FLIGHT_LIMIT = 1070;

const MINUTE_PAUSE_SECONDS = 60;
/** For a code that we do not know, and for a day whose end nobody has told. */
const UNKNOWN_PAUSE_SECONDS = 60;
const UNKNOWN_RESET = sql`interval '1 hour'`;
/**
 * Commits without waiting for the disk: should PostgreSQL crash, the call counts as in flight until it expires, and the
 * next answer says again what is left of the day.
 */
const UNFLUSHED = sql`(select set_config('synchronous_commit', 'off', true)) as unflushed`;
/** Headers of one day name the same reset, give or take the time the answer took. */
const SAME_DAY = sql`interval '5 minutes'`;
const FIRST_FAILURE_PAUSE_SECONDS = 10;
const LONGEST_FAILURE_PAUSE_SECONDS = 300;

/** Reads the daily quota from an answer's headers; null when they are missing or make no sense. */
export function dayQuota(headers: Headers): DayQuota | null {
  const [limit, remaining, resetsInSeconds] = ['limit', 'remaining', 'reset'].map((name) => {
    const text = headers.get(`x-rate-limit-${name}`) ?? '';
    return /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  });
  if (!limit || remaining === undefined || resetsInSeconds === undefined) return null;
  // A reset of more than a day is none of a daily quota.
  return resetsInSeconds > 172_800 ? null : { limit, remaining, resetsInSeconds };
}

/** Gives the call's place back and passes on what was learned. Called for every granted call, however it ended. */
export async function endCall(
  db: Database,
  call: { organizationId: string; callId: string },
  end: CallEnd,
  day: DayQuota | null,
): Promise<void> {
  // First what was learned, then the place: whoever waits for it must not get it in spite of a pause.
  if (day !== null || end.kind === 'answered') await learn(db, call.organizationId, end, day);
  if (end.kind === 'failed') await countFailure(db, call.organizationId, end.why);
  if (end.kind === 'limited') await pause(db, call.organizationId, end.code);
  await sql`update tds_zoho_calls set ended_at = clock_timestamp() from ${UNFLUSHED}
    where id = ${call.callId}`.execute(db);
}

/** Remembers the organization's time zone (`America/New_York`), in which Zoho's day ends; an unknown name is ignored. */
export async function learnTimeZone(db: Database, organizationId: string, timeZone: string): Promise<void> {
  await sql`
    insert into tds_zoho_quota as q (organization_id, time_zone)
    select ${organizationId}, name from pg_timezone_names where name = ${timeZone}
    on conflict (organization_id) do update set time_zone = excluded.time_zone
    where q.time_zone is distinct from excluded.time_zone`.execute(db);
}

/** Answers arrive in any order: within a day the lowest count is the newest. Another limit is a new count altogether. */
async function learn(db: Database, organizationId: string, end: CallEnd, day: DayQuota | null): Promise<void> {
  const failures = end.kind === 'answered' ? sql`0` : sql`failures`;
  if (day === null) {
    await sql`update tds_zoho_quota set failures = 0
      where organization_id = ${organizationId} and failures > 0`.execute(db);
    return;
  }
  const resetsAt = sql`clock_timestamp() + make_interval(secs => ${day.resetsInSeconds})`;
  const sameDay = sql`day_limit = ${day.limit} and day_resets_at between ${resetsAt} - ${SAME_DAY} and ${resetsAt} + ${SAME_DAY}`;
  await sql`
    update tds_zoho_quota set failures = ${failures}, day_limit = ${day.limit}, measured_at = clock_timestamp(),
      day_remaining = case when ${sameDay} then least(day_remaining, ${day.remaining}) else ${day.remaining} end,
      day_resets_at = ${resetsAt}
    from ${UNFLUSHED}
    where organization_id = ${organizationId}`.execute(db);
}

/** After several failures in a row everybody pauses, each time twice as long: the API gets air, and nobody's attempts burn. */
async function countFailure(db: Database, organizationId: string, why: string): Promise<void> {
  const beyond = sql`failures + 1 - ${FAILURES_THAT_PAUSE}::int`;
  await sql`
    update tds_zoho_quota set
      failures = failures + 1,
      paused_until = case when ${beyond} < 0 then paused_until else greatest(paused_until, clock_timestamp()
        + make_interval(secs => least(${LONGEST_FAILURE_PAUSE_SECONDS}, ${FIRST_FAILURE_PAUSE_SECONDS} * 2.0 ^ least(${beyond}, 10)))) end,
      pause_code = case when ${beyond} < 0 or paused_until > clock_timestamp() then pause_code end,
      pause_reason = case when ${beyond} < 0 or paused_until > clock_timestamp() then pause_reason
        else format('Zoho''s API failed %s times in a row, last with: %s', failures + 1, ${why}::text) end
    where organization_id = ${organizationId}`.execute(db);
}

async function pause(db: Database, organizationId: string, code: number | undefined): Promise<void> {
  if (code === IN_FLIGHT_LIMIT) return lowerInFlight(db, organizationId);
  if (code === DAY_LIMIT) return pauseForTheDay(db, organizationId);
  const seconds = code === MINUTE_LIMIT ? MINUTE_PAUSE_SECONDS : UNKNOWN_PAUSE_SECONDS;
  const limit = code === MINUTE_LIMIT ? 'for too many calls in a minute (code 44)' : `(429, code ${code ?? 'missing'})`;
  await sql`
    update tds_zoho_quota set paused_until = clock_timestamp() + make_interval(secs => ${seconds}),
      pause_code = ${code ?? null}, pause_reason = ${`Zoho has blocked the organization ${limit}.`}
    where organization_id = ${organizationId}
      and coalesce(paused_until, '-infinity') < clock_timestamp() + make_interval(secs => ${seconds})`.execute(db);
}

/** Until the reset that the headers named, else until midnight in the organization's zone, else for an hour. */
async function pauseForTheDay(db: Database, organizationId: string): Promise<void> {
  const midnight = sql`(date_trunc('day', clock_timestamp() at time zone time_zone) + interval '1 day') at time zone time_zone`;
  const reset = sql`coalesce(case when day_resets_at > clock_timestamp() then day_resets_at end, ${midnight},
    clock_timestamp() + ${UNKNOWN_RESET})`;
  await sql`
    update tds_zoho_quota set paused_until = ${reset}, pause_code = ${DAY_LIMIT},
      pause_reason = format('Zoho refuses further calls today (code 45) until %s.',
        to_char(${reset} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
    where organization_id = ${organizationId}`.execute(db);
}

/** One call less at once than are in flight, this one included, for a minute; after that one more each minute. */
async function lowerInFlight(db: Database, organizationId: string): Promise<void> {
  await sql`
    update tds_zoho_quota q set in_flight_lowered_at = clock_timestamp(), in_flight_limit = greatest(1,
      (select count(*) - 1 from tds_zoho_calls c where c.organization_id = q.organization_id
        and ended_at is null and expires_at > clock_timestamp()))
    where organization_id = ${organizationId}`.execute(db);
}
