/** The governor as several processes and clients meet it, with the stand-in counting their calls. */
import t, { type Test } from 'tap';
import { pullModuleNamed } from '../../src/zoho/modules/pull-modules.ts';
import { type TestDatabase, testDatabase, waitFor } from '../helper.ts';
import { callInProcess, clientOf, failureOf } from './calling.ts';
import { StandIn } from './stand-in.ts';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

let organizations = 0;

/** Three processes call as fast as they are let; the stand-in counts. */
async function threeProcesses(t: Test, windowMs: number) {
  const limits = { callsPerMinute: 20, windowMs, callsInFlight: 3 };
  const organizationId = `organization ${++organizations}`;
  const standIn = await StandIn.start(t, { organizationId, limits: { ...limits, enforce: false } });
  standIn.books.fill({ invoice: 1 });
  // The first answer is held back until all places have been taken once.
  standIn.delay = () => waitFor('calls in flight', () => standIn.limits.mostInFlight === limits.callsInFlight);
  const done = await Promise.all(
    [1, 2, 3].map(() => callInProcess(standIn, database.url, { calls: 20, atOnce: 4, limits })),
  );
  t.strictSame(done, [20, 20, 20]);
  return standIn.limits;
}

t.test('three processes never exceed the window and the calls in flight, as Zoho counts them', async (t) => {
  const { violations, calls, mostInWindow, mostInFlight } = await threeProcesses(t, 1500);
  t.equal(calls, 60);
  t.strictSame(violations, []);
  t.ok(mostInWindow <= 20, `${mostInWindow} in a window`);
  t.equal(mostInFlight, 3);
});

t.test('after code 45 no call is made before the reset, by nobody', async (t) => {
  const organizationId = `organization ${++organizations}`;
  const standIn = await StandIn.start(t, { organizationId, limits: { callsPerDay: 1000 } });
  standIn.books.fill({ invoice: 1 });
  const [one, two] = [clientOf(standIn, database.db), clientOf(standIn, database.db)];
  const ask = (client: typeof one) => client.listPage(pullModuleNamed('invoice'), { page: 1 }, { lane: 'refetch' });
  await ask(one);
  standIn.limits.usedByOthers = 999;
  t.match(await failureOf(ask(one)), { problem: 'day-limit', tag: 'RateLimitError', permanent: false });
  const before = standIn.limits.calls;
  for (const client of [one, two, one]) t.match(await failureOf(ask(client)), { problem: 'day-limit' });
  t.equal(standIn.limits.calls, before);
  t.strictSame(standIn.limits.violations, ['per-day']);
});

t.test('a wait says why, and ends when the place is free', async (t) => {
  const organizationId = `organization ${++organizations}`;
  const standIn = await StandIn.start(t, { organizationId, limits: { callsInFlight: 1 } });
  standIn.books.fill({ invoice: 1 });
  const gate = Promise.withResolvers<void>();
  standIn.delay = () => gate.promise;
  const client = clientOf(standIn, database.db, { limits: { callsInFlight: 1 } });
  const reasons: string[] = [];
  const ask = () =>
    client.listPage(
      pullModuleNamed('invoice'),
      { page: 1 },
      { lane: 'refetch', onWait: (reason) => reasons.push(reason) },
    );
  const first = ask();
  await waitFor('the first call', () => standIn.limits.inFlight === 1);
  const second = ask();
  await waitFor('the reason', () => reasons.length > 0);
  t.strictSame(reasons, ['1 of 1 calls are in flight.']);
  gate.resolve();
  await Promise.all([first, second]);
  t.strictSame(standIn.limits.violations, []);
});
