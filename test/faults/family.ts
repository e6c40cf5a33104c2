/** A short, fixed seed of every fault of a family, for `npm test`. */
import type { Test } from 'tap';
import { Cluster } from './cluster.ts';
import { type Fault, runRound } from './fault.ts';
import { World } from './world.ts';

const SEED = 1;
/** Generous: a family takes two minutes on an idle machine with two cores. */
const TIMEOUT_MS = 1_800_000;

/** One test per fault, one after the other, on one server. */
export async function testFamily(t: Test, faults: Fault[]): Promise<void> {
  t.setTimeout(TIMEOUT_MS);
  const cluster = await Cluster.create();
  t.teardown(() => cluster.destroy());
  for (const fault of faults) {
    const skip = fault.unavailable?.() ?? false;
    await t.test(`${fault.id} ${fault.title}`, { skip, timeout: TIMEOUT_MS }, (t) => survive(t, cluster, fault));
  }
}

async function survive(t: Test, cluster: Cluster, fault: Fault): Promise<void> {
  const world = await World.open(cluster, fault.world);
  t.teardown(() => world.close());
  await world.start();
  const { acknowledged, done, dead, quarantined } = await runRound(world, fault, SEED);
  t.comment(`${acknowledged} acknowledged: ${done} done, ${dead} dead, ${quarantined} quarantined`);
  t.pass('nothing lost, nothing applied twice');
}
