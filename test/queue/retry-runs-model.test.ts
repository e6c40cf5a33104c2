/** Random operators, workers, failures and crashes against a model of a retry run of a few lines. */
import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { advanceRetryRuns } from '../../src/queue/retry-runs/advance.ts';
import { type Control, controlRetryRun } from '../../src/queue/retry-runs/control.ts';
import { retryRun } from '../../src/queue/retry-runs/read.ts';
import { startRetryRun } from '../../src/queue/retry-runs/start.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';
import { testDatabase } from '../helper.ts';
import { arrive, Claimer, retryOne, SUCCESS } from './engine.ts';

const { db, pool } = await testDatabase(t);
const SEED = 20_261_128;
const RATE = 3;
const FAILED: Outcome = { kind: 'failed', tag: 'TimeoutError', message: 'again', permanent: true };

type State = 'waiting' | 'retried' | 'completed' | 'failed' | 'skipped';
type Item = { id: string; fails: boolean; status: 'dead_letter' | 'pending' | 'completed'; state: State };

/** The first one, then ten, then RATE at a time; more than `percent` of failures, or none left, end it. */
class Model {
  readonly items: Item[];
  readonly percent: number;
  status = 'running';
  retries = 0;

  constructor(items: Item[], percent: number) {
    this.items = items;
    this.percent = percent;
  }

  count(...states: State[]): number {
    return this.items.filter((item) => states.includes(item.state)).length;
  }

  tick(): void {
    for (const item of this.items.filter(({ state, status }) => state === 'retried' && status !== 'pending'))
      item.state = item.status === 'completed' ? 'completed' : 'failed';
    if (this.status !== 'running') return;
    const ended = this.count('completed', 'failed');
    const inQueue = this.count('retried');
    if (this.count('waiting') + inQueue === 0) this.status = 'completed';
    else if (ended > 0 && (ended > 11 || inQueue === 0) && (100 * this.count('failed')) / ended > this.percent)
      this.status = 'stopped';
    else
      this.release(ended < 1 ? 1 - inQueue : ended < 11 ? 11 - ended - inQueue : Math.min(RATE, RATE * 10 - inQueue));
  }

  release(count: number): void {
    for (const item of this.items.filter(({ state }) => state === 'waiting').slice(0, Math.max(0, count))) {
      item.state = item.status === 'dead_letter' ? 'retried' : 'skipped';
      if (item.state === 'retried') item.status = 'pending';
    }
  }

  control(control: Control): void {
    const from = { pause: ['running'], resume: ['paused'], cancel: ['running', 'paused'] }[control];
    const to = { pause: 'paused', resume: 'running', cancel: 'cancelled' }[control];
    if (from.includes(this.status)) this.status = to;
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.constant({ kind: 'tick' } as const) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('work' as const), most: fc.constantFrom(1, 3, 100) }) },
  { weight: 1, arbitrary: fc.constant({ kind: 'crash' } as const) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('retry' as const), nth: fc.nat(40) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('control' as const),
      control: fc.constantFrom<Control>('pause', 'resume', 'resume', 'cancel'),
    }),
  },
);
const history = fc.record({
  fates: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 40 }),
  failing: fc.constantFrom(0, 0, 1, 2, 10),
  percent: fc.constantFrom(0, 20, 50, 100),
  steps: fc.array(step, { minLength: 8, maxLength: 30 }),
});

t.test('a run does what its model does, whatever workers, operators and crashes do', async (t) => {
  const seen = new Map<string, number>();
  const property = fc.asyncProperty(history, async ({ fates, failing, percent, steps }) => {
    const model = new Model(await deadLetters(fates.map((fate) => fate < failing)), percent);
    const id = await start(percent);
    for (const each of steps) {
      await act(model, id, each);
      await compare(model, id, JSON.stringify(each));
    }
    seen.set(model.status, (seen.get(model.status) ?? 0) + 1);
  });
  await fc.assert(property, { seed: SEED, numRuns: 60 });
  for (const status of ['completed', 'stopped', 'cancelled', 'running']) t.ok(seen.get(status), `${status} was met`);
});

type Step = typeof step extends fc.Arbitrary<infer S> ? S : never;

async function act(model: Model, id: string, each: Step): Promise<void> {
  switch (each.kind) {
    case 'tick':
      await aSecondPasses();
      await advanceRetryRuns(db, async () => {});
      return model.tick();
    case 'crash':
      return crash();
    case 'work':
      return work(model, each.most);
    case 'retry':
      return retryByHand(model.items[each.nth % model.items.length] as Item);
    case 'control':
      await controlRetryRun(db, id, each.control, 'ann');
      return model.control(each.control);
  }
}

/** The step of a process that dies before it commits leaves no trace. */
async function crash(): Promise<void> {
  await aSecondPasses();
  const died = new Error('died');
  const dies = db.transaction().execute(async (trx) => {
    const inside = { execute: (run: (trx: unknown) => unknown) => run(trx) };
    const get = (_: object, name: keyof typeof trx) => (name === 'transaction' ? () => inside : bound(trx, name));
    await advanceRetryRuns(new Proxy(trx, { get } as ProxyHandler<typeof trx>), async () => {});
    throw died;
  });
  await dies.catch((error) => {
    if (error !== died) throw error;
  });
}

function bound<T extends object>(of: T, name: keyof T): unknown {
  const value = of[name];
  return typeof value === 'function' ? value.bind(of) : value;
}

const aSecondPasses = () => pool.query(`update tds_retry_runs set allowance_at = allowance_at - interval '1 minute'`);

/** Events that wait are processed, and end as it is their fate. */
async function work(model: Model, most: number): Promise<void> {
  const claimer = new Claimer(pool);
  const events = await claimer.claim({ limit: most });
  for (const event of events) {
    const item = model.items.find(({ id }) => id === event.id) as Item;
    await claimer.end([event], item.fails ? FAILED : SUCCESS);
    if (item.status !== 'pending') throw new Error(`${item.status} was claimed`);
    item.status = item.fails ? 'dead_letter' : 'completed';
  }
  if (events.length < most && model.items.some(({ status }) => status === 'pending'))
    throw new Error('an event that waits was not claimed');
}

async function retryByHand(item: Item): Promise<void> {
  await retryOne(db, item.id);
  if (item.status === 'dead_letter') item.status = 'pending';
}

async function deadLetters(fates: boolean[]): Promise<Item[]> {
  await pool.query(`truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_retry_runs,
    tds_retry_run_events, tds_sync_logs`);
  const ids = await arrive(
    pool,
    fates.map(() => randomUUID()),
  );
  await pool.query(
    `update tds_sync_queue set status = 'dead_letter', attempt_count = 3, error_tag = 'TimeoutError', error_message = 'slow'`,
  );
  return ids.map((id, n) => ({ id, fails: fates[n] as boolean, status: 'dead_letter', state: 'waiting' }));
}

async function start(percent: number): Promise<string> {
  const started = await db.transaction().execute((trx) =>
    startRetryRun(trx, {
      ...{ selection: { filter: {} }, asked: { filter: {} }, operator: 'ann', reason: null, force: false },
      ...{ ratePerSecond: RATE, maxFailurePercent: percent, maxAttempts: 3 },
    }),
  );
  if (started.outcome !== 'started') throw new Error(started.outcome);
  return started.id;
}

async function compare(model: Model, id: string, after: string): Promise<void> {
  const run = await retryRun(db, id);
  const { rows } = await pool.query(
    'select e.state, q.status from tds_retry_run_events e join tds_sync_queue q on q.id = e.event_id order by place',
  );
  const is = JSON.stringify([run?.status, rows.map(({ state, status }) => `${state} ${status}`)]);
  const should = JSON.stringify([model.status, model.items.map(({ state, status }) => `${state} ${status}`)]);
  if (is !== should) throw new Error(`after ${after}: ${is}, but the model says ${should}`);
  const sum = run && run.waiting + run.in_queue + run.completed + run.failed + run.skipped;
  if (sum !== run?.total) throw new Error(`${sum} of ${run?.total}`);
}
