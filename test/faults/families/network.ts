/** The network between us and PostgreSQL: F18 to F20. */
import assert from 'node:assert/strict';
import { waitFor } from '../../helper.ts';
import { type Fault, lasting, mixedLoad } from '../fault.ts';
import type { World } from '../world.ts';

const blackhole: Fault = {
  id: 'F18',
  title: 'half-open TCP: bytes vanish, nobody is told',
  world: { proxied: true },
  async inject(world) {
    await lasting(400);
    world.proxy.mode = { kind: 'blackhole' };
    await lasting(3000);
    world.proxy.mode = { kind: 'pass' };
  },
  proof(world) {
    proxyWasMet(world);
    const slowest = Math.max(...world.sender.answers.map((answer) => answer.ms));
    assert.ok(slowest < world.patience(16_000), `every request was answered: slowest ${Math.round(slowest)} ms`);
  },
};

const reset: Fault = {
  id: 'F18',
  title: 'connections reset and half-closed',
  world: { proxied: true },
  async inject(world) {
    for (let n = 0; n < 3; n += 1) {
      await lasting(world.random.int(150, 500));
      if (world.random.chance(0.5)) world.proxy.resetAll();
      else world.proxy.halfCloseAll();
    }
  },
  proof: proxyWasMet,
};

const commitUnknown: Fault = {
  id: 'F19',
  title: 'COMMIT arrives, its answer does not (worker)',
  world: { proxied: true },
  async inject(world) {
    await lasting(300);
    world.proxy.cutCommitsAfter('finish', 5);
    await waitFor('five commits without an answer', () => world.proxy.hits >= 5);
  },
  proof: proxyWasMet,
};

const intakeUnknown: Fault = {
  id: 'F19',
  title: 'the inbox commits, its answer does not arrive (API)',
  world: { proxied: true },
  async inject(world) {
    await lasting(300);
    world.proxy.cutAnswersTo('enqueue', 3);
    await waitFor('three statements without an answer', () => world.proxy.hits >= 3);
  },
  proof: proxyWasMet,
};

const claimUnknown: Fault = {
  id: 'F19',
  title: 'a claim commits, its answer does not arrive (worker)',
  world: { proxied: true },
  async inject(world) {
    await lasting(300);
    world.proxy.cutCommitsAfter('claim events', 3);
    await waitFor('three claims without an answer', () => world.proxy.hits >= 3);
  },
  proof: proxyWasMet,
};

const slow: Fault = {
  id: 'F20',
  title: 'every byte takes 250 ms longer each way',
  world: { proxied: true },
  load: (world) => mixedLoad(world, 40),
  async inject(world) {
    world.proxy.mode = { kind: 'delay', ms: 250 };
    await lasting(6000);
    world.proxy.mode = { kind: 'pass' };
  },
  async proof(world) {
    proxyWasMet(world);
    const { rescued } = await world.tally();
    assert.equal(rescued, 0, 'no lease storm');
  },
};

const frozenBackend: Fault = {
  id: 'F20',
  title: 'one backend stopped for 2 s',
  async inject(world) {
    await lasting(300);
    const [victim] = await world.backends();
    assert.ok(victim, 'a backend to stop');
    process.kill(victim, 'SIGSTOP');
    await lasting(2000);
    process.kill(victim, 'SIGCONT');
  },
  proof: () => undefined,
};

export const network: Fault[] = [blackhole, reset, commitUnknown, intakeUnknown, claimUnknown, slow, frozenBackend];

function proxyWasMet(world: World): void {
  assert.ok(world.proxy.hits > 0, 'I6: no traffic met the fault');
}
