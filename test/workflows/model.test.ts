/**
 * Workflows against their reference model: random starts, claims of three workers, pages, ends, crashes, rescues, an
 * operator's deeds and the queue's switch, one after the other and several at once. Workers go on with leases they have
 * lost. After every step each row must be as the model says; what ran at once must have an order that explains it.
 * MODEL_RUNS=100 makes 12,000 steps.
 */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { sql } from 'kysely';
import t from 'tap';
import { pause, resume } from '../../src/queue/pause.ts';
import { beginActivity, completeActivity } from '../../src/workflows/activity.ts';
import { claimRun } from '../../src/workflows/claim.ts';
import { completeRun, failRun, giveBack } from '../../src/workflows/finish.ts';
import type { HeldRun } from '../../src/workflows/held.ts';
import { operate } from '../../src/workflows/operate.ts';
import { rescueRuns } from '../../src/workflows/rescue.ts';
import { startRun } from '../../src/workflows/start.ts';
import { type Deed, transition } from '../../src/workflows/state.ts';
import { Stopped } from '../../src/workflows/workflow.ts';
import { testDatabase } from '../helper.ts';
import { bury, createPages, register } from './engine.ts';
import { type Done, explains, type State } from './reference-model.ts';

const { db, pool } = await testDatabase(t);
await createPages(db);
const RUNS = Number(process.env.MODEL_RUNS ?? 24);
const STEPS = 120;
const WORKERS = 3;
const NAMES = ['SyncAll', 'Reconcile'];
/** How many holds are remembered, most of them lost. */
const HOLDS = 6;

/** `busy`: a worker does one thing at a time with a run. */
type Hold = { held: HeldRun; next: number; busy?: boolean };
type System = { state: State; workers: string[]; holds: Hold[]; seen: Map<string, number> };
/** Says what to do and with which of the runs, holds or workers there are. */
type Operation = { kind: Done['kind']; nth: number };
type Step = Operation[];

const ends = ['complete', 'fail', 'give back'] as const;
const nth = fc.nat(20);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('start' as const), nth }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('claim' as const), nth }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant('page' as const), nth }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom(...ends), nth }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom('pause', 'resume', 'retry', 'resume', 'retry'), nth }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('terminate' as const, 'rescue' as const), nth }) },
);
const queueSwitch = fc.record({ kind: fc.constantFrom('pause queue' as const, 'resume queue' as const), nth });
/** An operator's deed upon the latest run while its page is being fetched: the page must not be written after it. */
const overtaken = fc.constantFrom<Deed[]>('pause', 'terminate').map(
  (deed): Step => [
    { kind: 'page', nth: 2 },
    { kind: deed, nth: 3 },
  ],
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: overtaken },
  { weight: 6, arbitrary: operation.map((one) => [one]) },
  { weight: 1, arbitrary: queueSwitch.map((one) => [one]) },
  { weight: 3, arbitrary: fc.array(operation, { minLength: 2, maxLength: 4 }) },
);

t.test('every step leaves the rows that the reference model says', async (t) => {
  const seen = new Map<string, number>();
  const run = async (steps: Step[]) => {
    const system = await emptySystem(seen);
    for (const one of steps) await check(system, one);
  };
  const sequences = fc.array(step, { minLength: STEPS, maxLength: STEPS });
  await fc.assert(fc.asyncProperty(sequences, run), { numRuns: RUNS, endOnFailure: true, asyncReporter });
  const expected = ['claim claimed', 'page written', 'page lease_lost', 'page paused', 'page terminated', 'retry done'];
  for (const what of [...expected, 'page queue_paused', 'start conflict', 'complete true', 'rescue', 'race'])
    t.ok(seen.get(what), `${what}: ${seen.get(what)} times`);
});

/** The error itself and the seed that repeats it: the steps would fill pages. */
async function asyncReporter({ failed, seed, errorInstance }: fc.RunDetails<[Step[]]>): Promise<void> {
  if (failed) throw new Error(`seed ${seed}: ${(errorInstance as Error).message}`, { cause: errorInstance });
}

async function emptySystem(seen: System['seen']): Promise<System> {
  await sql`truncate tds_workflows, tds_workers, test_pages cascade`.execute(db);
  await resume(db);
  const workers = await Promise.all(Array.from({ length: WORKERS }, newWorker));
  return { state: { runs: [], queuePaused: false }, workers, holds: [], seen };
}

async function newWorker(): Promise<string> {
  const id = randomUUID();
  await register(db, id);
  return id;
}

/** Carries the operations out at once, and finds an order of the model's that explains outcomes and rows. */
async function check(system: System, operations: Step): Promise<void> {
  // Half of the pages are slow: begun at once, written when everything else of this step has happened.
  const isSlow = ({ kind, nth }: Operation) => kind === 'page' && nth % 2 === 0;
  const quick = Promise.withResolvers<unknown>();
  const doing = operations.map((one) => carryOut(system, one, isSlow(one) ? quick.promise : undefined));
  quick.resolve(Promise.allSettled(doing.filter((_, n) => !isSlow(operations[n] as Operation))));
  const at = (await Promise.all(doing)).filter((done) => done !== null);
  await comeDue();
  const rows = JSON.stringify(await readRows());
  const explained = explains(system.state, at, (state) => JSON.stringify(rowsOf(state)) === rows, at.length > 1);
  if (!explained)
    throw new Error(`no order of ${JSON.stringify(at)} leads from ${JSON.stringify(system.state)} to ${rows}`);
  system.state = explained;
  for (const one of [...at.map(summary), ...(at.length > 1 ? ['race'] : [])])
    system.seen.set(one, (system.seen.get(one) ?? 0) + 1);
}

function summary(done: Done): string {
  if (done.kind === 'claim') return `claim ${done.claimed ? 'claimed' : 'nothing'}`;
  return 'outcome' in done ? `${done.kind} ${done.outcome}` : done.kind;
}

async function carryOut(system: System, { kind, nth }: Operation, after?: Promise<unknown>): Promise<Done | null> {
  const { state, holds, workers } = system;
  if (kind === 'start') return start(NAMES[nth % NAMES.length] as string);
  if (kind === 'claim') return claim(system, workers[nth % WORKERS] as string);
  if (kind === 'rescue') return die(system, nth % WORKERS);
  if (kind === 'pause queue' || kind === 'resume queue') return flip(kind);
  // Mostly the latest one, which may still be good.
  const hold = holds.filter(({ busy }) => !busy).at(nth % 3 === 0 ? nth % holds.length : -1);
  if (kind === 'page' || kind === 'complete' || kind === 'fail' || kind === 'give back')
    return hold ? withHold(hold, () => (kind === 'page' ? page(hold, after) : end(kind, hold))) : null;
  // Mostly one that the deed fits.
  const fitting = state.runs.filter(({ status }) => nth % 4 === 0 || 'to' in transition(kind, status));
  const run = fitting.at(-1 - (nth % 3)) ?? state.runs.at(-1);
  return run ? deed(kind, run.id) : null;
}

async function withHold(hold: Hold, work: () => Promise<Done>): Promise<Done> {
  hold.busy = true;
  return work().finally(() => {
    hold.busy = false;
  });
}

async function start(name: string): Promise<Done> {
  const id = randomUUID();
  const request = { definition: { name }, organizationId: '10', payload: {} };
  const { outcome } = await db.transaction().execute((trx) => startRun(trx, request, 'ann', id));
  return { kind: 'start', name, id, outcome };
}

async function claim({ holds }: System, worker: string): Promise<Done> {
  const held = await claimRun(db, worker, NAMES);
  if (held) {
    holds.push({ held, next: held.progress.pages + 1 });
    if (holds.length > HOLDS) holds.shift();
  }
  return { kind: 'claim', worker, claimed: held ? { id: held.id, lease: held.lease } : null };
}

/** The next page as this hold sees it. What is written before the fence has to vanish when the fence refuses. */
async function page(hold: Hold, after?: Promise<unknown>): Promise<Done> {
  const { held, next } = hold;
  const { id, lease } = held;
  const outcome = await write(held, next, after).catch((error) => {
    if (error instanceof Stopped) return error.why;
    throw error;
  });
  if (outcome === 'written') hold.next += 1;
  return { kind: 'page', id, lease, page: next, outcome, last: after !== undefined && outcome === 'written' };
}

async function write(held: HeldRun, number: number, after?: Promise<unknown>): Promise<string> {
  const name = `page ${number}`;
  const { completed } = await beginActivity(db, held, { name, attempt: 1, names: NAMES });
  if (completed) return 'written before';
  await after;
  const progress = () => ({ ...held.progress, pages: number });
  const rowOf = async (trx: typeof db) => {
    await sql`insert into test_pages (workflow_id, page) values (${held.id}, ${number})`.execute(trx);
    return number;
  };
  await completeActivity(pool, held, { name, write: rowOf, progress }, undefined);
  return 'written';
}

async function end(kind: (typeof ends)[number], { held }: Hold): Promise<Done> {
  const failure = { message: 'no', tag: 'UnknownError' as const, cause: [] };
  const ways = {
    complete: () => completeRun(db, held, { pages: held.progress.pages }),
    fail: () => failRun(db, held, failure),
    'give back': () => giveBack(db, held, { seconds: 0, waitsFor: null }),
  };
  return { kind, id: held.id, lease: held.lease, outcome: await ways[kind]() };
}

async function deed(kind: Deed, id: string): Promise<Done> {
  const { outcome } = await db.transaction().execute((trx) => operate(trx, id, kind, 'ann'));
  return { kind, id, outcome };
}

/** The worker is found dead; another one takes its place, and its holds go on as if nothing had happened. */
async function die(system: System, at: number): Promise<Done> {
  const worker = system.workers[at] as string;
  system.workers[at] = await newWorker();
  await bury(db, worker);
  const mine = async () =>
    db.selectFrom('tds_workflows').select('id').where('worker_id', '=', worker).executeTakeFirst();
  // Rows that somebody has locked are passed over until the next sweep.
  do await rescueRuns(db, 30);
  while (await mine());
  return { kind: 'rescue', worker };
}

async function flip(kind: 'pause queue' | 'resume queue'): Promise<Done> {
  if (kind === 'pause queue') await pause(db, 'ann', null);
  else await resume(db);
  return { kind };
}

/** Time passes: what waits after a crash may run. */
async function comeDue(): Promise<void> {
  await sql`update tds_workflows set run_at = now() where run_at > now()`.execute(db);
}

type Row = Omit<State['runs'][number], 'pages'> & { written: number[]; completed: number; progress: number };

async function readRows(): Promise<Row[]> {
  const { rows } = await sql<Row>`
    select id, name, status, lease, worker_id as worker, crash_count as crashes,
      coalesce((select json_agg(page order by page) from test_pages where workflow_id = w.id), '[]') as written,
      (select count(*)::int from tds_workflow_activities where workflow_id = w.id and status = 'completed') as completed,
      (progress ->> 'pages')::int as progress
    from tds_workflows w order by id`.execute(db);
  return rows;
}

function rowsOf({ runs }: State): Row[] {
  return runs
    .map(({ pages, id, name, status, lease, worker, crashes }) => ({
      ...{ id, name, status, lease, worker, crashes },
      written: Array.from({ length: pages }, (_, n) => n + 1),
      ...{ completed: pages, progress: pages },
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}
