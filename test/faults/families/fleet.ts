/** Two APIs and three workers under all kinds of harm at once, with handlers that fail: F51. */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../../helper.ts';
import { whyNoRedis } from '../../queue/redis-server.ts';
import type { Behaviour } from '../behaviour.ts';
import { delivery, type Fault, gated, gatedKey, inSets } from '../fault.ts';
import { Nemesis } from '../nemesis.ts';
import type { Delivery } from '../sender.ts';
import type { World } from '../world.ts';

const ENTITIES = 45;
const EVENTS_A_SECOND = 20;
const LOOK_EVERY_MS = 100;

const fleet: Fault = {
  id: 'F51',
  title: 'two APIs and three workers under random harm, handlers that fail',
  world: { apis: 2, workers: 3 },
  continuous: true,
  load: (world) => [gated(world), ...failingLoad(world)],
  async inject(world) {
    const watch = watchHolders(world);
    const nemesis = new Nemesis(world);
    // Whatever chance does, one worker dies with an event in hand.
    await (await world.holderOf(gatedKey(world))).end('SIGKILL');
    world.openGate();
    await nemesis.rage(world.harmMs);
    world.notes.push(`harm: ${JSON.stringify(nemesis.counts)}`);
    await everybodyIsBack(world);
    assert.deepEqual(await watch.end(), [], 'no entity was in two hands at any time');
  },
  async proof(world) {
    const { rescued } = await world.tally();
    assert.ok(rescued > 0, 'I6: nothing had to be rescued');
    const failed = await world.number(`select count(*) from tds_sync_logs where status in ('retry', 'dead_letter')`);
    assert.ok(failed > 0, 'I6: no handler failed');
    world.notes.push(`failed attempts: ${failed}`);
  },
};

const overRedis: Fault = {
  ...fleet,
  title: `${fleet.title}, over Redis`,
  world: { ...fleet.world, redis: true },
  unavailable: () => whyNoRedis() || undefined,
};

export const fleetFaults: Fault[] = [fleet, inSets(fleet), overRedis];

/** Few entities, so that most events have others of their entity before and behind them; one in six fails. */
function failingLoad(world: World): Delivery[] {
  const { random } = world;
  const count = Math.round((EVENTS_A_SECOND * world.harmMs) / 1000);
  return Array.from({ length: count }, () => {
    const module = random.chance(0.8) ? 'invoice' : 'expense';
    return delivery({ module, entityId: String(random.int(1, ENTITIES)), fault: { ...misbehaviour(world) } });
  });
}

function misbehaviour({ random }: World): Behaviour {
  const waitMs = random.int(0, 8);
  const lot = random.next();
  if (lot < 0.06) return { waitMs, fail: { how: 'transient', attempts: random.int(1, 2) } };
  if (lot < 0.1) return { waitMs, fail: { how: 'transient', probability: 0.3 } };
  if (lot < 0.12) return { waitMs, fail: { how: 'transient', attempts: 3 } };
  if (lot < 0.14) return { waitMs, fail: { how: 'permanent', probability: 0.8 } };
  if (lot < 0.16) return { waitMs, fail: { how: 'statement', attempts: 1 } };
  if (lot < 0.161) return { die: 'kill' };
  if (lot < 0.2) return { waitMs: 300 };
  return { waitMs };
}

/** Looks again and again whether two claims have events of one entity. One statement is one snapshot. */
function watchHolders(world: World): { end(): Promise<unknown[]> } {
  const found: unknown[] = [];
  let going = true;
  const look = async () => {
    while (going) {
      const { rows } = await world.db
        .query(`select entity_key, array_agg(distinct lease) as leases from tds_sync_queue where status = 'processing'
          group by entity_key having count(distinct lease) > 1`)
        .catch(() => ({ rows: [] })); // the database is away
      found.push(...rows);
      await sleep(LOOK_EVERY_MS);
    }
    return found;
  };
  const looking = look();
  const end = () => {
    going = false;
    return looking;
  };
  return { end };
}

async function everybodyIsBack(world: World): Promise<void> {
  const { apis = 1, workers = 1 } = fleet.world ?? {};
  const back = () => world.aliveApis.length >= apis && world.aliveWorkers.length >= workers;
  await waitFor('every process to be replaced', back);
}
