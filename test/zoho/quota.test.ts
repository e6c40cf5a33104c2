import { sql } from 'kysely';
import t from 'tap';
import { type Lane, type QuotaLimits, takeCall } from '../../src/zoho/quota/quota.ts';
import { type CallEnd, type DayQuota, dayQuota, endCall, learnTimeZone } from '../../src/zoho/quota/quota-report.ts';
import { quotaStates } from '../../src/zoho/quota/quota-state.ts';
import { type TestDatabase, testDatabase, waitFor } from '../helper.ts';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

let organizations = 0;

/** An organization of its own, and the governor as one process after another would ask it. */
function governor(limits: Partial<QuotaLimits> = {}) {
  const organizationId = `organization ${++organizations}`;
  const all = {
    callsPerMinute: 100,
    windowMs: 60_000,
    callsInFlight: 5,
    callTimeoutMs: 40_000,
    reserve: 0.1,
    ...limits,
  };
  const take = (lane: Lane = 'refetch') => takeCall(database.db, organizationId, lane, all);
  const end = (callId: string, how: CallEnd = { kind: 'answered' }, day: DayQuota | null = null) =>
    endCall(database.db, { organizationId, callId }, how, day);
  /** Takes a call that must be granted, and ends it. */
  const call = async (how?: CallEnd, day?: DayQuota) => {
    const grant = await take();
    if (!grant.granted) throw new Error(grant.reason);
    await end(grant.callId, how, day);
  };
  /** Lets time pass for this organization, in place of waiting. */
  const pass = async (seconds: number) => {
    const by = sql`make_interval(secs => ${seconds})`;
    await sql`update tds_zoho_calls set started_at = started_at - ${by}, expires_at = expires_at - ${by},
      ended_at = ended_at - ${by} where organization_id = ${organizationId}`.execute(database.db);
    await sql`update tds_zoho_quota set paused_until = paused_until - ${by}, day_resets_at = day_resets_at - ${by},
      in_flight_lowered_at = in_flight_lowered_at - ${by}, refetch_waits_until = refetch_waits_until - ${by}
      where organization_id = ${organizationId}`.execute(database.db);
  };
  const state = async () =>
    (await quotaStates(database.db)).find(({ organization_id }) => organization_id === organizationId);
  return { organizationId, take, end, call, pass, state };
}

t.test('a minute holds its calls and no more; the next goes when the first has left the window', async (t) => {
  const { take, call, pass } = governor({ callsPerMinute: 3 });
  for (let n = 0; n < 3; n++) await call();
  const refused = await take();
  t.match(refused, { granted: false, reason: /3 of 3 calls were made in the last 60 seconds/ });
  t.ok(!refused.granted && refused.waitMs > 55_000 && refused.waitMs <= 60_000, 'says how long');
  await pass(61);
  t.match(await take(), { granted: true });
});

t.test('a call fills its place for a minute after its end: Zoho may have counted it as late as that', async (t) => {
  const { take, end, pass } = governor({ callsPerMinute: 1 });
  const slow = await take();
  await pass(30);
  t.ok(slow.granted);
  if (slow.granted) await end(slow.callId);
  await pass(40);
  t.match(await take(), { granted: false }, '70 seconds after its start, 40 after its end');
  await pass(21);
  t.match(await take(), { granted: true });
});

t.test('calls in flight are limited, and those of a dead process are over after their time', async (t) => {
  const { take, end, pass } = governor({ callsInFlight: 2, callTimeoutMs: 10_000 });
  const first = await take();
  await take();
  t.match(await take(), { granted: false, reason: '2 of 2 calls are in flight.' });
  if (first.granted) await end(first.callId);
  t.match(await take(), { granted: true });
  t.match(await take(), { granted: false });
  await pass(11);
  t.match(await take(), { granted: true });
});

t.test('a part of each limit is kept for re-fetches', async (t) => {
  const flight = governor({ callsInFlight: 2 });
  await flight.take('backfill');
  t.match(await flight.take('backfill'), { granted: false, reason: /last place is kept for re-fetches/ });
  t.match(await flight.take('refetch'), { granted: true });
  const minute = governor({ callsPerMinute: 10 });
  for (let n = 0; n < 9; n++) await minute.call();
  t.match(await minute.take('backfill'), { granted: false, reason: /the rest is kept for re-fetches/ });
  t.match(await minute.take('refetch'), { granted: true });
  const day = governor();
  await day.call(undefined, { limit: 1000, remaining: 100, resetsInSeconds: 5000 });
  t.match(await day.take('backfill'), {
    granted: false,
    reason: /last 100 of today's 1000 calls are kept for re-fetches/,
  });
  t.match(await day.take('refetch'), { granted: true });
});

t.test('backfill moves with a limit of one', async (t) => {
  const { take } = governor({ callsInFlight: 1, callsPerMinute: 1 });
  t.match(await take('backfill'), { granted: true });
});

t.test('a waiting re-fetch gets the next free place', async (t) => {
  const { take, end, pass } = governor({ callsInFlight: 2, reserve: 0 });
  const grants = [await take('refetch'), await take('refetch')];
  t.match(await take('refetch'), { granted: false });
  for (const grant of grants) if (grant.granted) await end(grant.callId);
  t.match(await take('backfill'), { granted: false, reason: 'A re-fetch goes before backfill.' });
  t.match(await take('refetch'), { granted: true });
  await pass(2);
  t.match(await take('backfill'), { granted: true }, 'nobody waits any more');
});

t.test('code 44 pauses everybody for a minute', async (t) => {
  const { take, call, pass } = governor();
  await call({ kind: 'limited', code: 44 });
  t.match(await take(), { granted: false, pauseCode: 44, reason: /blocked the organization/ });
  await pass(59);
  t.match(await take(), { granted: false });
  await pass(2);
  t.match(await take(), { granted: true });
});

t.test("code 45 pauses until Zoho's reset, whatever the lane", async (t) => {
  const { take, call, pass, state } = governor();
  await call({ kind: 'limited', code: 45 }, { limit: 1000, remaining: 0, resetsInSeconds: 3600 });
  for (const lane of ['refetch', 'backfill'] as const)
    t.match(await take(lane), {
      granted: false,
      pauseCode: 45,
      reason: /refuses further calls today \(code 45\) until 20/,
    });
  t.match(await state(), { pause_reason: /code 45/, day_remaining: 0 });
  await pass(3590);
  t.match(await take(), { granted: false });
  await pass(11);
  t.match(await take(), { granted: true });
  t.match(await state(), { pause_reason: null, day_remaining: null, our_calls: 1 }, 'a new day');
});

t.test('a late code 44 does not shorten the pause of code 45', async (t) => {
  const { take, end, pass } = governor();
  const [day, minute] = [await take(), await take()];
  const resets = { limit: 1000, remaining: 0, resetsInSeconds: 3600 };
  if (day.granted) await end(day.callId, { kind: 'limited', code: 45 }, resets);
  if (minute.granted) await end(minute.callId, { kind: 'limited', code: 44 });
  await pass(61);
  t.match(await take(), { granted: false, pauseCode: 45 });
});

t.test('the pause of code 45 holds before the place of its call is free', async (t) => {
  const { take, end } = governor({ callsInFlight: 1 });
  const grant = await take();
  if (!grant.granted) return t.fail('not granted');
  let ended: Promise<void> | undefined;
  await database.db.transaction().execute(async (trx) => {
    await sql`select from tds_zoho_calls where id = ${grant.callId} for update`.execute(trx);
    ended = end(grant.callId, { kind: 'limited', code: 45 });
    // The place cannot be given back yet, so a refusal for any other reason would end with it.
    t.ok(await waitFor('the pause', async () => ((await take()) as { pauseCode?: number }).pauseCode === 45));
  });
  await ended;
});

t.test("without headers code 45 pauses until midnight in the organization's zone", async (t) => {
  const { organizationId, take, call } = governor();
  await learnTimeZone(database.db, organizationId, 'Asia/Kolkata');
  await learnTimeZone(database.db, organizationId, 'Nowhere/Atlantis');
  await call({ kind: 'limited', code: 45 });
  const { rows } = await sql<{ seconds: number }>`select extract(epoch from
    (date_trunc('day', now() at time zone 'Asia/Kolkata') + interval '1 day') at time zone 'Asia/Kolkata' - now())::float8
    as seconds`.execute(database.db);
  const refused = await take();
  t.ok(!refused.granted && Math.abs(refused.waitMs / 1000 - (rows[0]?.seconds ?? 0)) < 60);
});

t.test('code 1070 lowers the calls in flight, and they come back one a minute', async (t) => {
  const { take, end, pass } = governor({ callsInFlight: 3 });
  const grants = [await take(), await take(), await take()];
  const [limited, ...others] = grants;
  if (limited?.granted) await end(limited.callId, { kind: 'limited', code: 1070 });
  t.match(await take(), { granted: false, reason: '2 of 2 calls are in flight.' });
  for (const grant of others) if (grant.granted) await end(grant.callId);
  await pass(61);
  for (let n = 0; n < 3; n++) t.match(await take(), { granted: true });
  t.match(await take(), { granted: false, reason: '3 of 3 calls are in flight.' });
});

t.test('failures in a row pause everybody, twice as long each time, and then one call tries', async (t) => {
  const { take, call, pass } = governor();
  const failed = { kind: 'failed', why: 'Zoho answered 503.' } as const;
  for (let n = 0; n < 5; n++) await call(failed);
  t.match(await take(), {
    granted: false,
    pauseCode: null,
    reason: /failed 5 times in a row, last with: Zoho answered 503/,
  });
  await pass(11);
  t.match(await take(), { granted: true });
  t.match(await take(), { granted: false, reason: /1 of 1 calls are in flight/ });
  await pass(100);
  await call(failed);
  const refused = await take();
  t.ok(!refused.granted && refused.waitMs > 15_000 && refused.waitMs <= 20_000);
  await pass(21);
  await call();
  for (let n = 0; n < 5; n++) t.match(await take(), { granted: true }, 'all is well');
});

t.test('what is left of the day is the lowest count seen, and calls under way count', async (t) => {
  const { take, call, state } = governor();
  await call(undefined, { limit: 1000, remaining: 2, resetsInSeconds: 3600 });
  await call(undefined, { limit: 1000, remaining: 3, resetsInSeconds: 3600 });
  t.match(await state(), { day_limit: 1000, day_remaining: 2, our_calls: 2, others_calls: 996 });
  t.match(await take(), { granted: true });
  t.match(await take(), { granted: true });
  t.match(await take(), { granted: false, reason: /Today's 1000 calls of Zoho are used up until 20/ });
});

t.test('a raised limit counts at once', async (t) => {
  const { take, end, state } = governor();
  const grant = await take();
  if (grant.granted) await end(grant.callId, undefined, { limit: 1000, remaining: 1, resetsInSeconds: 3600 });
  const last = await take();
  if (last.granted) await end(last.callId, undefined, { limit: 5000, remaining: 4000, resetsInSeconds: 3600 });
  t.match(await state(), { day_limit: 5000, day_remaining: 4000 });
});

t.test('headers that make no sense say nothing', async (t) => {
  const read = (limit: string, remaining: string, reset: string) =>
    dayQuota(
      new Headers({ 'x-rate-limit-limit': limit, 'x-rate-limit-remaining': remaining, 'x-rate-limit-reset': reset }),
    );
  t.strictSame(read('1000', '911', '38709'), { limit: 1000, remaining: 911, resetsInSeconds: 38_709 });
  for (const [limit, remaining, reset] of [
    ['1000', '-1', '5'],
    ['', '', ''],
    ['0', '0', '5'],
    ['1000', '1', '99999999'],
    ['x', '1', '5'],
  ] as const)
    t.equal(read(limit, remaining, reset), null);
  t.equal(dayQuota(new Headers()), null);
});
