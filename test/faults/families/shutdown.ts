/** Orderly ends: F09 to F11, F13, F46. */
import assert from 'node:assert/strict';
import { waitFor } from '../../helper.ts';
import { delivery, drained, type Fault, lasting, mixedLoad } from '../fault.ts';
import type { World } from '../world.ts';

/** Leases that no busy machine lets run out: here nothing may be rescued. */
const UNHURRIED = { workerEnv: { LEASE_SECONDS: '15' } };

const drain: Fault = {
  id: 'F09',
  title: 'SIGTERM under load',
  world: UNHURRIED,
  load: (world) => mixedLoad(world).map((one) => ({ ...one, fault: { waitMs: world.random.int(100, 600) } })),
  async inject(world) {
    await waitFor('work in hand', async () => (await world.inHand()) > 0);
    for (const worker of world.aliveWorkers) {
      world.startWorker();
      const { code, afterMs } = await worker.end('SIGTERM');
      assert.equal(code, 0, 'a drain ends with exit code 0');
      assert.ok(afterMs < world.patience(25_000), `within the deadline: ${afterMs} ms`);
    }
  },
  proof: nothingWasCharged,
};

const drainTooLong: Fault = {
  id: 'F10',
  title: 'SIGTERM, a job of ten minutes',
  world: { workers: 1, workerEnv: { ...UNHURRIED.workerEnv, DRAIN_SECONDS: '1' } },
  load: (world) => [delivery({ key: longKey(world), fault: { waitMs: 600_000 } })],
  async inject(world) {
    const holder = await world.holderOf(longKey(world));
    await waitFor('work in hand', async () => (await world.inHand()) > 0);
    const { code, afterMs } = await holder.end('SIGTERM');
    assert.equal(code, 0, 'exit code 0');
    assert.ok(afterMs < world.patience(5000), `ended ${Math.round(afterMs)} ms after the signal`);
    const { rows } = await world.db.query(
      'select status, attempt_count, lease is not null as leased from tds_sync_queue q join tds_inbox_payloads p on p.event_id = q.id where payload->>$1 = $2',
      ['fault_key', longKey(world)],
    );
    assert.equal(`${rows[0].status} ${rows[0].attempt_count}`, 'pending 0', 'given back at once and uncharged');
    await world.db.query(
      `update tds_inbox_payloads set payload = (payload::jsonb - 'fault')::json where payload->>'fault_key' = $1`,
      [longKey(world)],
    );
    await world.startWorker().said('worker started');
  },
  proof: nothingWasCharged,
};

const repeatedSignals: Fault = {
  id: 'F11',
  title: 'SIGHUP, then SIGTERM and SIGINT again and again',
  world: UNHURRIED,
  load: (world) => mixedLoad(world).map((one) => ({ ...one, fault: { waitMs: 300 } })),
  async inject(world) {
    for (const worker of world.aliveWorkers) worker.signal('SIGHUP');
    world.api.signal('SIGHUP');
    await lasting(200);
    assert.equal(world.aliveWorkers.length, 2, 'SIGHUP reloads and drops nothing');
    const [worker] = world.aliveWorkers;
    world.startWorker();
    for (const signal of ['SIGTERM', 'SIGINT', 'SIGTERM'] as const) {
      worker?.signal(signal);
      await lasting(30);
    }
    assert.equal((await worker?.exited)?.code, 0, 'the signals after the first change nothing');
  },
  proof: nothingWasCharged,
};

const outageDuringDrain: Fault = {
  id: 'F09',
  title: 'SIGTERM while the database is away',
  world: { workers: 1, workerEnv: { DRAIN_SECONDS: '1' }, proxied: true },
  load: (world) => mixedLoad(world).map((one) => ({ ...one, fault: { waitMs: 300 } })),
  async inject(world) {
    await waitFor('work in hand', async () => (await world.inHand()) > 0);
    const [worker] = world.aliveWorkers;
    world.proxy.mode = { kind: 'refuse' };
    world.proxy.resetAll();
    const exit = await worker?.end('SIGTERM');
    assert.ok((exit?.afterMs ?? Infinity) < world.patience(12_000), `a hard deadline: ${exit?.afterMs} ms`);
    world.proxy.mode = { kind: 'pass' };
    if (exit?.code === 0) world.startWorker();
  },
  proof(world) {
    assert.ok(world.proxy.hits > 0, 'I6: the database was away');
  },
};

const twoOfEverything: Fault = {
  id: 'F46',
  title: 'two of every worker, sweeper and schedule; an operator clicks twice',
  world: { workers: 3 },
  load: (world) => [
    ...mixedLoad(world),
    delivery({ key: `hangs ${world.random.seed}`, module: 'expense', fault: { hang: true } }),
  ],
  async inject(world) {
    await waitFor('a dead letter', async () => (await openDeadLetters(world)).length > 0);
    await drained(world);
    for (const id of await openDeadLetters(world)) {
      const path = `/dashboard/dead-letter/${id}/retry`;
      const answers = await Promise.all([1, 2, 3].map(() => world.operator('POST', path)));
      assert.deepEqual(answers.map(({ status }) => status).sort(), [200, 409, 409], 'one click wins');
    }
  },
  async proof(world) {
    const { rows } = await world.db.query(
      'select rule from tds_alerts where resolved_at is null group by rule, labels having count(*) > 1',
    );
    assert.deepEqual(rows, [], 'one alert per rule, however many schedules evaluate it');
    const retried = await world.number(
      'select count(*) from tds_dead_letter_queue where retry_count = 1 and resolved_at is null',
    );
    assert.ok(retried >= 1, 'I6: the dead letter came back with retry_count 1');
  },
};

export const shutdown: Fault[] = [drain, outageDuringDrain, drainTooLong, repeatedSignals, twoOfEverything];

const longKey = (world: World) => `long ${world.random.seed}`;

async function openDeadLetters(world: World): Promise<string[]> {
  const { rows } = await world.db.query<{ id: string }>(
    'select id from tds_dead_letter_queue where resolved_at is null',
  );
  return rows.map((row) => row.id);
}

/** An orderly end costs no attempt and leaves nothing to rescue. */
async function nothingWasCharged(world: World): Promise<void> {
  const { rescued } = await world.tally();
  assert.equal(rescued, 0, 'nothing had to be rescued');
  const charged = await world.number('select count(*) from tds_sync_queue where attempt_count <> 1');
  assert.equal(charged, 0, 'no attempt was charged for the shutdown');
}
