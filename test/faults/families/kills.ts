/** Processes that die or freeze: F01 to F05, F36, F37, F44. */
import assert from 'node:assert/strict';
import { waitFor } from '../../helper.ts';
import type { Child } from '../child.ts';
import { delivery, type Fault, gated, gatedKey, inSets, lasting, mixedLoad } from '../fault.ts';
import { LEASE_SECONDS, RESCUE_MS, type World } from '../world.ts';

const STALE = 'stale write rejected: the lease was lost';
const FROZEN_MS = 3 * LEASE_SECONDS * 1000;
const CRASH_POINTS = ['after_claim', 'after_effect', 'before_commit', 'after_commit'] as const;

const workerKilled: Fault = {
  id: 'F01',
  title: 'worker kill -9 while running',
  load: (world) => [...mixedLoad(world), gated(world)],
  async inject(world) {
    const kills = world.random.int(1, 2);
    for (let n = 0; n < kills; n += 1) {
      await lasting(world.random.int(50, 700));
      // Until the gate opens somebody has this event in hand, so each kill leaves something to rescue.
      const victim = n === 0 ? await world.holderOf(gatedKey(world)) : world.random.pick(some(world.aliveWorkers));
      await victim.end('SIGKILL');
    }
    world.openGate();
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
  load: (world) => [...mixedLoad(world), gated(world)],
  async inject(world) {
    const frozen = await world.holderOf(gatedKey(world));
    await freezeUntilDone(world, frozen);
  },
  proof: staleWriteRejected,
};

const zombieInTransaction: Fault = {
  id: 'F05',
  title: 'worker frozen between BEGIN and COMMIT',
  load: (world) => [...mixedLoad(world), gated(world, { holdGate: world.gate() })],
  async inject(world) {
    const frozen = await world.holderOf(gatedKey(world));
    await waitFor('an open transaction', async () => (await world.openTransactions(frozen)) > 0);
    await freezeUntilDone(world, frozen, async () => {
      const ended = async () => (await world.openTransactions(frozen)) === 0;
      await waitFor('the server to end the frozen transaction', ended);
    });
  },
  proof: staleWriteRejected,
};

const suspended: Fault = {
  id: 'F36',
  title: 'the whole machine asleep for 3 leases (STOP/CONT of all)',
  load: (world) => [...mixedLoad(world), gated(world)],
  async inject(world) {
    await world.holderOf(gatedKey(world));
    const everybody = [...world.aliveWorkers, world.api];
    for (const child of everybody) child.signal('SIGSTOP');
    await lasting(FROZEN_MS);
    for (const child of everybody) child.signal('SIGCONT');
    world.openGate();
  },
  async proof(world) {
    const pids = world.aliveWorkers.map((worker) => worker.pid);
    const registered = () =>
      world.number(
        'select count(*) from tds_workers where ended_at is null and expires_at > now() and pid = any ($1)',
        [pids],
      );
    await waitFor('every worker to be registered again: none idles', async () => (await registered()) === pids.length);
  },
};

const HERD = 4;
const HERD_SLOTS = 10;

const herdKilled: Fault = {
  id: 'F37',
  title: 'many workers killed at once with full hands',
  world: { workers: HERD, workerEnv: { WORKER_CONCURRENCY: String(HERD_SLOTS) } },
  load: (world) => Array.from({ length: 200 }, () => delivery({ fault: { gate: world.gate() } })),
  spreadMs: 3000,
  async inject(world) {
    await waitFor('full hands', async () => (await world.inHand()) >= HERD * HERD_SLOTS);
    await Promise.all(world.aliveWorkers.map((worker) => worker.end('SIGKILL')));
    world.openGate();
  },
  async proof(world) {
    const { rescued } = await world.tally();
    assert.ok(rescued >= HERD * HERD_SLOTS, `I6: ${rescued} events had to be rescued`);
    const refused = world.sender.answers.filter((answer) => answer.status !== 202);
    assert.deepEqual(refused, [], 'intake went on');
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

function some<T>(all: T[]): [T, ...T[]] {
  return all as [T, ...T[]];
}

/** Frozen until others have done its work; then it wakes up and tries to finish what is no longer its own. */
async function freezeUntilDone(world: World, frozen: Child, meanwhile?: () => Promise<void>): Promise<void> {
  frozen.signal('SIGSTOP');
  await meanwhile?.();
  await waitFor('its events to be taken back', async () => (await world.tally()).rescued > 0, RESCUE_MS + 20_000);
  world.openGate();
  const done = `select count(*) from tds_sync_queue q join tds_inbox_payloads p on p.event_id = q.id
    where p.payload->>'fault_key' = $1 and q.status = 'completed'`;
  await waitFor('others to do its work', async () => (await world.number(done, [gatedKey(world)])) === 1);
  frozen.signal('SIGCONT');
  // Not refused means that it finished: the proof and the invariants say what that did.
  const ended = () => !frozen.running || frozen.count(STALE) > 0;
  await waitFor('the zombie to be refused', ended, FROZEN_MS).catch(() => undefined);
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
