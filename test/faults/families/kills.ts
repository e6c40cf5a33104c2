/** Processes that die or freeze: F01 to F05, F36, F37, F44. */
import assert from 'node:assert/strict';
import { waitFor } from '../../helper.ts';
import type { Child } from '../child.ts';
import { delivery, type Fault, inSets, lasting, mixedLoad } from '../fault.ts';
import { LEASE_SECONDS, RESCUE_MS, type World } from '../world.ts';

const STALE = 'stale write rejected: the lease was lost';
const FROZEN_MS = 3 * LEASE_SECONDS * 1000;
const CRASH_POINTS = ['after_claim', 'after_effect', 'before_commit', 'after_commit'] as const;

const workerKilled: Fault = {
  id: 'F01',
  title: 'worker kill -9 while running',
  async inject(world) {
    for (let kills = world.random.int(1, 2); kills > 0; kills -= 1) {
      await lasting(world.random.int(50, 700));
      const victim = await busyWorker(world);
      await victim.end('SIGKILL');
    }
  },
  proof: rescueHappened,
};

const crashPoints: Fault[] = CRASH_POINTS.map((point) => ({
  id: 'F02',
  title: `kill -9 at ${point}`,
  world: { workers: 1 },
  async inject(world) {
    const [regular] = world.aliveWorkers;
    const doomed = world.startWorker({ TDS_CRASH_AT: point });
    regular?.signal('SIGSTOP'); // so that the doomed one gets an event
    const { signal } = await doomed.exited;
    regular?.signal('SIGCONT');
    assert.equal(signal, 'SIGKILL', `${point} was reached`);
  },
  spreadMs: 3000,
  proof: () => undefined,
}));

const killedBeforeAnswer: Fault = {
  id: 'F02',
  title: 'API kill -9 between COMMIT and answer',
  async inject(world) {
    world.nextApiEnv = { TDS_CRASH_AT: 'before_ack' };
    await world.api.end('SIGKILL');
    const doomed = await waitFor('the API that is to crash', () => world.apis[1]);
    const { signal } = await doomed.exited;
    assert.equal(signal, 'SIGKILL', 'before_ack was reached');
  },
  spreadMs: 3000,
  proof: repeatsWereRecognised,
};

const apiKilled: Fault = {
  id: 'F03',
  title: 'API kill -9 during intake',
  load: (world) => mixedLoad(world, 300),
  async inject(world) {
    const underLoad = world.sender.answers.length + world.random.int(20, 80);
    await waitFor('answers under load', () => world.sender.answers.length >= underLoad);
    await world.api.end('SIGKILL');
  },
  proof(world) {
    const refused = world.sender.answers.filter((answer) => answer.status === 0).length;
    assert.ok(refused > 0, 'I6: no request met the dead API');
  },
};

const zombie: Fault = {
  id: 'F04',
  title: 'worker frozen for 3 leases, then back',
  load: (world) => [...mixedLoad(world), slow(world)],
  async inject(world) {
    const frozen = await world.holderOf(slowKey(world));
    await freezeUntilDone(world, frozen);
  },
  proof: staleWriteRejected,
};

const zombieInTransaction: Fault = {
  id: 'F05',
  title: 'worker frozen between BEGIN and COMMIT',
  load: (world) => [...mixedLoad(world), slow(world, { holdMs: 1500 })],
  async inject(world) {
    const frozen = await world.holderOf(slowKey(world));
    await waitFor('an open transaction', async () => (await idleTransactions(world)) > 0);
    await freezeUntilDone(world, frozen, async () => {
      const ended = async () => (await idleTransactions(world)) === 0;
      await waitFor('the server to end the frozen transaction', ended);
    });
  },
  proof: staleWriteRejected,
};

const suspended: Fault = {
  id: 'F36',
  title: 'the whole machine asleep for 3 leases (STOP/CONT of all)',
  load: (world) => [...mixedLoad(world), slow(world)],
  async inject(world) {
    await world.holderOf(slowKey(world));
    const everybody = [...world.aliveWorkers, world.api];
    for (const child of everybody) child.signal('SIGSTOP');
    await lasting(FROZEN_MS);
    for (const child of everybody) child.signal('SIGCONT');
  },
  async proof(world) {
    const alive = await world.number(`select count(*) from tds_workers where expires_at > now()`);
    assert.equal(alive, world.aliveWorkers.length, 'every worker is registered again: none idles');
  },
};

const HERD = 4;

const herdKilled: Fault = {
  id: 'F37',
  title: 'many workers killed at once with full hands',
  world: { workers: HERD, workerEnv: { WORKER_CONCURRENCY: '25' } },
  load: () => Array.from({ length: 200 }, () => delivery({ fault: { waitMs: 100 } })),
  spreadMs: 3000,
  async inject(world) {
    const held = () => world.number('select coalesce(sum(cardinality(queue_ids)), 0) from tds_queue_claims');
    await waitFor('full hands', async () => (await held()) >= 12);
    await Promise.all(world.aliveWorkers.map((worker) => worker.end('SIGKILL')));
  },
  async proof(world) {
    await rescueHappened(world);
    const times = world.sender.answers.map((answer) => answer.ms).sort((a, b) => a - b);
    const p99 = times[Math.floor(times.length * 0.99)] ?? 0;
    assert.ok(p99 < world.patience(2000), `intake went on: p99 ${Math.round(p99)} ms`);
  },
};

const starved: Fault = {
  id: 'F44',
  title: 'half the CPU taken away in slices of 20 ms',
  world: { workerEnv: { LEASE_SECONDS: '30' } },
  async inject(world) {
    const workers = world.aliveWorkers;
    for (const until = performance.now() + 3000; performance.now() < until; ) {
      for (const worker of workers) worker.signal('SIGSTOP');
      await lasting(20);
      for (const worker of workers) worker.signal('SIGCONT');
      await lasting(20);
    }
  },
  async proof(world) {
    const { rescued } = await world.tally();
    assert.equal(rescued, 0, 'nobody was taken for dead');
  },
};

export const kills: Fault[] = [
  workerKilled,
  ...crashPoints,
  killedBeforeAnswer,
  apiKilled,
  zombie,
  zombieInTransaction,
  suspended,
  herdKilled,
  starved,
  ...[workerKilled, ...crashPoints, zombie].map(inSets),
];

function slow(world: World, fault: object = { waitMs: 1500 }) {
  return delivery({ key: slowKey(world), fault: { ...fault } });
}

const slowKey = (world: World) => `slow ${world.random.seed}`;

async function busyWorker(world: World): Promise<Child> {
  return waitFor('a worker with events in hand', async () => {
    const { rows } = await world.db.query<{ pid: number }>(
      'select w.pid from tds_queue_claims c join tds_workers w using (worker_id) order by c.claimed_at desc limit 1',
    );
    return world.aliveWorkers.find((worker) => worker.pid === rows[0]?.pid);
  });
}

/** Frozen until others have done its work; then it wakes up and tries to finish what is no longer its own. */
async function freezeUntilDone(world: World, frozen: Child, meanwhile?: () => Promise<void>): Promise<void> {
  frozen.signal('SIGSTOP');
  await lasting(FROZEN_MS);
  await meanwhile?.();
  await waitFor(
    'others to do its work',
    async () => {
      const open = await world.number(
        `select count(*) from tds_sync_queue q join tds_inbox_payloads p using (event_id)
       where p.payload->>'fault_key' = $1 and q.status <> 'completed'`,
        [slowKey(world)],
      );
      return open === 0;
    },
    RESCUE_MS + 20_000,
  );
  frozen.signal('SIGCONT');
  // Not refused means that it finished: the proof and the invariants say what that did.
  const ended = () => !frozen.running || frozen.count(STALE) > 0;
  await waitFor('the zombie to be refused', ended, FROZEN_MS).catch(() => undefined);
}

function idleTransactions(world: World): Promise<number> {
  return world.number(`select count(*) from pg_stat_activity
    where datname = current_database() and application_name = 'tds-core-worker' and state = 'idle in transaction'`);
}

async function rescueHappened(world: World): Promise<void> {
  const { rescued } = await world.tally();
  assert.ok(rescued > 0, 'I6: nothing had to be rescued');
}

async function staleWriteRejected(world: World): Promise<void> {
  const { staleRejected } = await world.tally();
  assert.ok(staleRejected > 0, 'I6: no stale write was rejected');
}

function repeatsWereRecognised(world: World): void {
  const repeats = world.sender.ledger.filter(
    (entry) => entry.answers[0]?.status === 0 && entry.answers.some((answer) => answer.duplicate),
  );
  assert.ok(repeats.length > 0, 'I6: no delivery was committed without an answer');
}
