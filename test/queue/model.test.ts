/**
 * The queue against its reference model: random arrivals of two writers, claims of three workers, sets that fail in the
 * middle, kills, retries, priorities, pauses and statements typed in psql. After every step each row must be as the
 * model says, and everything derived must agree. MODEL_RUNS=100 makes 10,000 steps and more.
 */
import fc from 'fast-check';
import t from 'tap';
import type { ClaimedEvent } from '../../src/queue/event.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { pause, resume } from '../../src/queue/pause.ts';
import { promote } from '../../src/queue/promote.ts';
import { rescue } from '../../src/queue/rescue.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase, waitFor } from '../helper.ts';
import { compare, same } from './compare.ts';
import { arrive, Claimer, nothingIfBusy, POLICY, registerWorker, retryOne, someoneWaits } from './engine.ts';
import { asyncReporter } from './model-report.ts';
import { byArrival, type ClaimRequest, type ModelEvent, ReferenceQueue, waits } from './reference-model.ts';

const { db, pool } = await testDatabase(t);
const RUNS = Number(process.env.MODEL_RUNS ?? 8);
const STEPS = 120;
const WORKERS = 3;
const LATER = 3600;

type Held = { event: ClaimedEvent; model: ModelEvent };
type System = { model: ReferenceQueue; workers: { claimer: Claimer; held: Held[] }[] };
type Step = (system: System) => Promise<void>;

const OUTCOMES: { outcome: Outcome; delayed: boolean }[] = [
  { outcome: { kind: 'succeeded', label: null }, delayed: false },
  { outcome: { kind: 'failed', tag: 'NetworkError', message: 'gone', permanent: false }, delayed: false },
  {
    outcome: { kind: 'failed', tag: 'NetworkError', message: 'gone', permanent: false, retryAfterSeconds: LATER },
    delayed: true,
  },
  { outcome: { kind: 'failed', tag: 'ValidationError', message: 'bad', permanent: true }, delayed: false },
  { outcome: { kind: 'released', seconds: LATER, tag: 'RateLimitError', message: 'wait' }, delayed: true },
  { outcome: { kind: 'released', seconds: 0, tag: 'UnknownError', message: 'stopped' }, delayed: false },
  { outcome: { kind: 'unharmed', seconds: 0, tag: null, message: null }, delayed: false },
];

const entity = fc.integer({ min: 1, max: 5 }).map((n) => `e${n}`);
const entities = fc.array(entity, { minLength: 1, maxLength: 4 });
const worker = fc.integer({ min: 0, max: WORKERS - 1 });
const place = fc.nat();

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: entities.map((list) => arrives([list])) },
  { weight: 2, arbitrary: fc.tuple(entities, entities).map((lists) => arrives(lists)) },
  { weight: 8, arbitrary: fc.tuple(worker, claimRequest()).map(([n, request]) => claims(n, request)) },
  {
    weight: 8,
    arbitrary: fc
      .tuple(worker, fc.integer({ min: 1, max: 4 }), fc.constantFrom(...OUTCOMES))
      .map(([n, count, end]) => ends(n, count, end)),
  },
  { weight: 4, arbitrary: worker.map((n) => ends(n, 100, OUTCOMES[0] as (typeof OUTCOMES)[0])) },
  { weight: 1, arbitrary: worker.map(dies) },
  { weight: 2, arbitrary: fc.constant(comesDue) },
  { weight: 1, arbitrary: fc.tuple(place, fc.integer({ min: 0, max: 2 })).map(([n, to]) => changesPriority(n, to)) },
  { weight: 1, arbitrary: fc.boolean().map(pauses) },
  { weight: 2, arbitrary: place.map(retriesDeadLetter) },
  { weight: 3, arbitrary: fc.tuple(entities, entities, claimRequest()).map(([a, b, request]) => races(a, b, request)) },
  { weight: 1, arbitrary: place.map(isReset) },
  { weight: 1, arbitrary: place.map(isDeleted) },
);

t.test('every step leaves the rows that the reference model says', async (t) => {
  let steps = 0;
  const run = async (sequence: Step[]) => {
    const system = await emptySystem();
    for (const one of sequence) {
      await one(system);
      await compare(pool, system.model);
    }
    steps += sequence.length;
  };
  const sequences = fc.array(step, { minLength: STEPS, maxLength: STEPS });
  await fc.assert(fc.asyncProperty(sequences, run), { numRuns: RUNS, endOnFailure: true, asyncReporter });
  t.pass(`${steps} steps`);
});

function claimRequest(): fc.Arbitrary<ClaimRequest> {
  const from = fc.oneof(
    { weight: 4, arbitrary: fc.constant('head' as const) },
    { weight: 1, arbitrary: fc.constant('suspects' as const) },
  );
  return fc.record({ limit: fc.integer({ min: 1, max: 6 }), perEntity: fc.constantFrom(1, 2, 1000), from });
}

async function emptySystem(): Promise<System> {
  await pool.query(
    'truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_workers, tds_sync_logs',
  );
  await resume(db);
  const workers = await Promise.all(Array.from({ length: WORKERS }, newWorker));
  return { model: new ReferenceQueue(), workers };
}

async function newWorker(): Promise<{ claimer: Claimer; held: Held[] }> {
  return { claimer: new Claimer(pool, await registerWorker(pool)), held: [] };
}

/** Several lists: as many writers at once. */
function arrives(lists: string[][]): Step {
  return async ({ model }) => {
    await learn(model, (await Promise.all(lists.map((list) => arrive(pool, list)))).flat());
  };
}

async function learn(model: ReferenceQueue, ids: string[]): Promise<void> {
  const { rows } = await pool.query('select id, entity_id, arrival::int from tds_sync_queue where id = any ($1)', [
    ids,
  ]);
  for (const { id, entity_id, arrival } of rows) model.arrive(id, entity_id, arrival);
}

/** The claimer without what it remembers of earlier claims, so that the model need not know of that. */
function freshly(claimer: Claimer): Claimer {
  claimer.low = new LowWater();
  return claimer;
}

function claims(n: number, request: ClaimRequest): Step {
  return async ({ model, workers }) => {
    const mine = workers[n] as System['workers'][0];
    const got = await freshly(mine.claimer).claim(request);
    const expected = model.claim(got[0]?.lease ?? '', request);
    same(
      got.map(({ id }) => id),
      expected.map(({ id }) => id),
      `claim ${JSON.stringify(request)}`,
    );
    for (const [at, event] of got.entries()) mine.held.push({ event, model: expected[at] as ModelEvent });
  };
}

/**
 * Two writers and all workers at once, one writer slow to commit. Who gets what is open, but nobody may get an event
 * before an earlier one of its entity. The model then takes over what was claimed.
 */
function races(slow: string[], quick: string[], request: ClaimRequest): Step {
  return async (system) => {
    const { model, workers } = system;
    const writer = await pool.connect();
    await writer.query('begin');
    const first = await arrive(writer, slow);
    const second = arrive(pool, quick);
    await Promise.race([second, waitFor('the second writer to wait for the first', () => someoneWaits(pool))]);
    const got = await Promise.all(workers.map(({ claimer }) => freshly(claimer).claim(request).catch(nothingIfBusy)));
    await writer.query('commit');
    writer.release();
    await learn(model, [...first, ...(await second)]);
    for (const [n, events] of got.entries()) {
      for (const event of events) hold(system, n, event);
    }
    // Only what was claimed now: a dead letter that is retried may wait behind a later event in hand.
    const claimed = new Set(got.flat().map(({ id }) => id));
    const isPassed = (event: ModelEvent, by: ModelEvent) => by.entity === event.entity && by.arrival > event.arrival;
    const overtaken = model.events.filter(
      (event) => waits(event) && model.events.some((by) => claimed.has(by.id) && isPassed(event, by)),
    );
    same(overtaken, [], 'events that were overtaken');
  };
}

function hold({ model, workers }: System, n: number, event: ClaimedEvent): void {
  const known = model.events.find(({ id }) => id === event.id) as ModelEvent;
  same(known.claim, null, 'the holder of an event that is claimed');
  Object.assign(known, { status: 'processing', claim: event.lease });
  workers[n]?.held.push({ event, model: known });
}

/** Ends the first events of one claim of a worker; what has been taken from it meanwhile is refused as a whole. */
function ends(n: number, count: number, { outcome, delayed }: (typeof OUTCOMES)[0]): Step {
  return async ({ model, workers }) => {
    const mine = workers[n] as System['workers'][0];
    const some = mine.held.filter(({ event }) => event.lease === mine.held[0]?.event.lease).slice(0, count);
    if (some.length === 0) return;
    const ending = mine.claimer
      .end(
        some.map(({ event }) => event),
        outcome,
      )
      .then(
        () => 'ended',
        ({ name }) => name,
      );
    const ours = some.every((held) => isOurs(model, held));
    same(await ending, ours ? 'ended' : 'StaleLease', 'the end of a claim');
    if (ours)
      model.end(
        some.map((held) => held.model),
        outcome,
        delayed,
      );
    mine.held = mine.held.filter((held) => isOurs(model, held));
  };
}

function isOurs({ events }: ReferenceQueue, { event, model }: Held): boolean {
  return events.includes(model) && model.claim === event.lease;
}

/** The worker dies, and its events are taken back; another one comes in its place. */
function dies(n: number): Step {
  return async ({ model, workers }) => {
    const { claimer } = workers[n] as System['workers'][0];
    const held = model.events.filter((event) =>
      workers[n]?.held.some((one) => one.model === event && isOurs(model, one)),
    );
    await pool.query(`update tds_workers set expires_at = now() - interval '1 second' where worker_id = $1`, [
      claimer.workerId,
    ]);
    await rescue(pool, POLICY, 30);
    for (const event of held) model.end([event], { kind: 'crashed', alone: held.length === 1 }, false);
    workers[n] = await newWorker();
  };
}

async function comesDue({ model }: System): Promise<void> {
  await pool.query(`update tds_sync_queue set run_at = now() where status in ('pending', 'retry') and run_at > now()`);
  await promote(pool);
  for (const event of model.events) if (!event.suspect) event.due = true;
}

function changesPriority(n: number, priority: number): Step {
  return onOne(
    n,
    () => true,
    async (event) => {
      await pool.query('update tds_sync_queue set priority = $2 where id = $1', [event.id, priority]);
      event.priority = priority;
    },
  );
}

function pauses(paused: boolean): Step {
  return async ({ model }) => {
    await (paused ? pause(db, 'ann', 'a test') : resume(db));
    model.paused = paused;
  };
}

function retriesDeadLetter(n: number): Step {
  return onOne(
    n,
    ({ status }) => status === 'dead_letter',
    async (event) => {
      same(await retryOne(db, event.id), { outcome: 'retried', queueId: event.id }, 'the retry');
      Object.assign(event, { status: 'pending', attempts: 0, releases: 0, due: true, suspect: false });
    },
  );
}

function isReset(n: number): Step {
  return onOne(
    n,
    ({ status }) => status === 'processing',
    async (event, model) => {
      await pool.query(`update tds_sync_queue set status = 'pending', started_at = null where id = $1`, [event.id]);
      model.reset(event);
    },
  );
}

function isDeleted(n: number): Step {
  return onOne(
    n,
    () => true,
    async (event, model) => {
      await pool.query('delete from tds_sync_queue where id = $1', [event.id]);
      model.delete(event);
    },
  );
}

/** Does something to one of the events that fit, if there is one. */
function onOne(
  n: number,
  fits: (event: ModelEvent) => boolean,
  act: (event: ModelEvent, model: ReferenceQueue) => Promise<void>,
): Step {
  return async ({ model }) => {
    const fitting = model.events.filter(fits).sort(byArrival);
    const event = fitting[n % Math.max(1, fitting.length)];
    if (event) await act(event, model);
  };
}
