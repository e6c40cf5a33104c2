/**
 * The quota governor: no call is made that would exceed what Zoho allows an organization, whichever process makes it.
 * All of them ask one row, which is locked for a moment; the clock is the database's.
 */
import { type Kysely, sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Schema } from '../../db/schema.ts';

/** Re-fetches of single records go before backfill, and a part of every limit is kept for them. */
export type Lane = 'refetch' | 'backfill';

export type QuotaLimits = {
  /** Calls in any window, and how long that is: Zoho allows 100 in 60 s. */
  callsPerMinute: number;
  windowMs: number;
  callsInFlight: number;
  /** A call is in flight no longer than this, whatever became of the process. */
  callTimeoutMs: number;
  /** Part of each limit, from 0 to 1, that backfill leaves to re-fetches. */
  reserve: number;
};

export const DEFAULT_LIMITS = { windowMs: 60_000, callTimeoutMs: 40_000, reserve: 0.1 } as const;

/** Either the call may be made, under this number, or it may be asked for again after `waitMs`; `reason` is a sentence. */
export type Grant =
  | { granted: true; callId: string }
  | { granted: false; waitMs: number; reason: string; pauseCode: number | null };

/** Ask again after this long at the latest: slots get free unannounced when a call ends. */
const LOOK_AGAIN_MS = 250;
/** A waiting re-fetch keeps backfill back for this long after its last question. */
const REFETCH_WAITS = sql`interval '1 second'`;
/** From this many failures in a row calls are tried one at a time. */
export const FAILURES_THAT_PAUSE = 5;

/** Asks for one call. Never waits: what has to wait can do so without a connection in hand. */
export async function takeCall(db: Database, organizationId: string, lane: Lane, limits: QuotaLimits): Promise<Grant> {
  return db.transaction().execute(async (trx) => {
    await lock(trx, organizationId);
    const state = await measure(trx, organizationId, limits);
    const refusal = refuse(state, lane, limits);
    if (refusal === null) return { granted: true, callId: await start(trx, organizationId, lane, limits) };
    if (lane === 'refetch' && refusal.pauseCode === null) await announceRefetch(trx, organizationId);
    return { granted: false, ...refusal };
  });
}

/** Locks the organization's row. The statements after this one see all calls of those who had it before. */
async function lock(trx: Kysely<Schema>, organizationId: string): Promise<void> {
  const take = () => sql`select from tds_zoho_quota where organization_id = ${organizationId} for update`.execute(trx);
  if ((await take()).rows.length > 0) return;
  await sql`insert into tds_zoho_quota (organization_id) values (${organizationId}) on conflict do nothing`.execute(
    trx,
  );
  await take();
}

type Measured = {
  /** Milliseconds until the pause ends, 0 without one. */
  paused_ms: number;
  pause_code: number | null;
  pause_reason: string | null;
  /** Calls in flight, and calls that fill the sliding window: those in flight and those that ended in it. */
  in_flight: number;
  in_window: number;
  /** Milliseconds until the window has room for one more call of each lane. */
  room_ms: number;
  backfill_room_ms: number;
  in_flight_limit: number | null;
  failures: number;
  refetch_waits: boolean;
  day_limit: number | null;
  day_left: number | null;
  day_resets_at: Date | null;
  day_resets_ms: number;
};

async function measure(trx: Kysely<Schema>, organizationId: string, limits: QuotaLimits): Promise<Measured> {
  const { callsPerMinute, windowMs } = limits;
  // A call fills its place until a window after its end: Zoho counted it at some time before it answered.
  const fillsWindow = sql`organization_id = ${organizationId}
      and coalesce(ended_at, expires_at) > clock_timestamp() - ${windowMs} * interval '1 ms'`;
  // The last of the calls that may fill the window says when it has room; sorted only when it is full.
  const roomFor = (calls: number) => sql`case when in_window < ${calls} then 0 else coalesce((
        select greatest(0, ${millisecondsUntil(sql`coalesce(ended_at, expires_at)`)} + ${windowMs})
        from tds_zoho_calls where ${fillsWindow}
        order by coalesce(ended_at, expires_at) desc offset ${calls - 1} limit 1), 0) end`;
  const { rows } = await sql<Measured>`
    select coalesce(greatest(0, ${millisecondsUntil(sql`paused_until`)}), 0) as paused_ms,
      pause_code, pause_reason, failures, in_flight, in_window,
      ${roomFor(callsPerMinute)} as room_ms,
      ${roomFor(forBackfill(callsPerMinute, limits))} as backfill_room_ms,
      in_flight_limit + floor(extract(epoch from clock_timestamp() - in_flight_lowered_at) / 60)::int as in_flight_limit,
      coalesce(refetch_waits_until > clock_timestamp(), false) as refetch_waits,
      day_limit, day_resets_at,
      -- Calls without an answer are not in Zoho's count yet. What is known of a day that has ended is worth nothing.
      case when day_resets_at > clock_timestamp() then day_remaining - unanswered end as day_left,
      coalesce(${millisecondsUntil(sql`day_resets_at`)}, 0) as day_resets_ms
    from tds_zoho_quota
    cross join (
      select count(*)::int as in_window, (count(*) filter (where ended_at is null))::int as unanswered,
        (count(*) filter (where ended_at is null and expires_at > clock_timestamp()))::int as in_flight
      from tds_zoho_calls where ${fillsWindow}) calls
    where organization_id = ${organizationId}`.execute(trx);
  if (rows[0] === undefined) throw new Error(`the quota of organization ${organizationId} is gone`);
  return rows[0];
}

function millisecondsUntil(time: ReturnType<typeof sql>) {
  return sql`extract(epoch from ${time} - clock_timestamp())::float8 * 1000`;
}

/** What backfill may use of a limit: some is kept back, and at least one call is left, or it would never end. */
export function forBackfill(limit: number, { reserve }: QuotaLimits): number {
  if (reserve === 0) return limit;
  return Math.max(1, Math.min(limit - 1, Math.floor(limit * (1 - reserve))));
}

type Refusal = { waitMs: number; reason: string; pauseCode: number | null };

/** Why a call may not be made now, or null when it may; the reasons that last longest come first. */
function refuse(state: Measured, lane: Lane, limits: QuotaLimits): Refusal | null {
  return (
    paused(state) ?? dayUsedUp(state, lane, limits) ?? noRoom(state, lane, limits) ?? tooManyAtOnce(state, lane, limits)
  );
}

function paused({ paused_ms, pause_code, pause_reason }: Measured): Refusal | null {
  if (paused_ms <= 0) return null;
  return { waitMs: paused_ms, reason: pause_reason ?? 'Calls of Zoho are paused.', pauseCode: pause_code };
}

function dayUsedUp({ day_left, day_limit, day_resets_at, day_resets_ms }: Measured, lane: Lane, limits: QuotaLimits) {
  if (day_left === null || day_limit === null || day_resets_at === null) return null;
  const kept = lane === 'backfill' ? day_limit - forBackfill(day_limit, limits) : 0;
  if (day_left > kept) return null;
  const until = `until ${day_resets_at.toISOString()}, when Zoho's next day begins`;
  const reason =
    kept > 0 && day_left > 0
      ? `The last ${day_left} of today's ${day_limit} calls are kept for re-fetches ${until}.`
      : `Today's ${day_limit} calls of Zoho are used up ${until}.`;
  return { waitMs: day_resets_ms, reason, pauseCode: null };
}

function noRoom({ room_ms, backfill_room_ms, in_window, refetch_waits }: Measured, lane: Lane, limits: QuotaLimits) {
  const { callsPerMinute, windowMs } = limits;
  const waitMs = lane === 'backfill' ? backfill_room_ms : room_ms;
  if (waitMs > 0) {
    const kept = room_ms > 0 ? '' : ', and the rest is kept for re-fetches';
    const reason = `${in_window} of ${callsPerMinute} calls were made in the last ${windowMs / 1000} seconds${kept}.`;
    return { waitMs, reason, pauseCode: null };
  }
  if (lane === 'refetch' || !refetch_waits) return null;
  return { waitMs: LOOK_AGAIN_MS, reason: 'A re-fetch goes before backfill.', pauseCode: null };
}

function tooManyAtOnce({ in_flight, in_flight_limit, failures }: Measured, lane: Lane, limits: QuotaLimits) {
  const lowered = Math.min(limits.callsInFlight, in_flight_limit ?? limits.callsInFlight);
  // After a pause for failures one call tries whether the API is back.
  const limit = failures >= FAILURES_THAT_PAUSE ? 1 : lowered;
  const allowed = lane === 'backfill' ? forBackfill(limit, limits) : limit;
  if (in_flight < allowed) return null;
  const kept = in_flight < limit ? ', and the last place is kept for re-fetches' : '';
  return { waitMs: LOOK_AGAIN_MS, reason: `${in_flight} of ${limit} calls are in flight${kept}.`, pauseCode: null };
}

async function start(trx: Kysely<Schema>, organizationId: string, lane: Lane, limits: QuotaLimits): Promise<string> {
  const { windowMs, callTimeoutMs } = limits;
  const { rows } = await sql<{ id: string }>`
    with forgotten as (
      delete from tds_zoho_calls where organization_id = ${organizationId}
        and coalesce(ended_at, expires_at) < clock_timestamp() - ${windowMs} * interval '1 ms'
    ), counted as (
      -- Our own count begins anew with each day of Zoho's.
      update tds_zoho_quota set
        our_calls = case when day_resets_at <= clock_timestamp() then 1 else our_calls + 1 end,
        our_calls_since = case when day_resets_at <= clock_timestamp() then day_resets_at else our_calls_since end,
        day_remaining = case when day_resets_at > clock_timestamp() then day_remaining end,
        day_resets_at = case when day_resets_at > clock_timestamp() then day_resets_at end
      where organization_id = ${organizationId}
    )
    insert into tds_zoho_calls (organization_id, lane, expires_at)
    values (${organizationId}, ${lane}, clock_timestamp() + ${callTimeoutMs} * interval '1 ms')
    returning id`.execute(trx);
  return rows[0]?.id ?? '';
}

async function announceRefetch(trx: Kysely<Schema>, organizationId: string): Promise<void> {
  await trx
    .updateTable('tds_zoho_quota')
    .set({ refetch_waits_until: sql`clock_timestamp() + ${REFETCH_WAITS}` })
    .where('organization_id', '=', organizationId)
    .execute();
}
