/** Does one harm after the other to everything that runs, as chance has it, and counts what it did. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Child } from './child.ts';
import { LEASE_SECONDS, type World } from './world.ts';

const PAUSE_MS = { least: 100, most: 1200 };

type Harm = (world: World) => Promise<boolean>;

/** What it may do. Each is chosen as often as it stands here; one that finds nothing to harm says false. */
const HARMS: [name: string, weight: number, harm: Harm][] = [
  ['worker killed', 6, (world) => killed(world, world.aliveWorkers)],
  ['API killed', 3, (world) => killed(world, world.aliveApis)],
  ['suspects killed', 3, suspectsKilled],
  ['worker frozen', 4, (world) => frozen(world, world.aliveWorkers, 3 * LEASE_SECONDS * 1000)],
  ['API frozen', 2, (world) => frozen(world, world.aliveApis, 1500)],
  ['worker stopped and replaced', 2, replaced],
  ['session terminated', 6, terminated],
  ['backend killed', 1, backendKilled],
  ['PostgreSQL restarted', 1, restarted],
  ['dead letter retried', 4, retried],
];

const REDIS_HARMS: typeof HARMS = [
  ['Redis killed', 3, redisKilled],
  ['Redis frozen', 3, redisFrozen],
  ['Redis emptied', 3, async ({ redis }) => redis?.command('flushall').then(() => true) ?? false],
];

export class Nemesis {
  readonly #world: World;
  readonly #choices: [name: string, harm: Harm][];
  /** Harms that last while others go on. */
  readonly #lasting = new Set<Promise<unknown>>();
  readonly counts: Record<string, number> = {};

  constructor(world: World) {
    this.#world = world;
    const possible = world.redis ? [...HARMS, ...REDIS_HARMS] : HARMS;
    this.#choices = possible.flatMap(([name, weight, harm]) =>
      Array.from({ length: weight }, () => [name, harm] as [string, Harm]),
    );
  }

  /** Harms for so long, and returns when all has been undone that it can undo. */
  async rage(ms: number): Promise<void> {
    for (const until = performance.now() + ms; performance.now() < until; ) {
      const [name, harm] = this.#world.random.pick(this.#choices as [[string, Harm]]);
      const lasting = this.#inflict(name, harm);
      this.#lasting.add(lasting);
      void lasting.finally(() => this.#lasting.delete(lasting));
      // Nothing else is of interest while there is no server.
      if (name === 'PostgreSQL restarted') await lasting;
      // On a slow machine everything takes longer to come back: without a pause nobody would ever work.
      await sleep(this.#world.patience(this.#world.random.int(PAUSE_MS.least, PAUSE_MS.most)));
    }
    await Promise.all(this.#lasting);
  }

  /** A harm that fails met another one, such as a database that is down. */
  async #inflict(name: string, harm: Harm): Promise<void> {
    if (await harm(this.#world).catch(() => false)) this.counts[name] = (this.counts[name] ?? 0) + 1;
  }
}

function oneOf<T>(world: World, all: T[]): T | undefined {
  return all.length > 0 ? world.random.pick(all as [T, ...T[]]) : undefined;
}

async function killed(world: World, alive: Child[]): Promise<boolean> {
  const victim = oneOf(world, alive);
  await victim?.end('SIGKILL');
  return victim !== undefined;
}

async function suspectsKilled(world: World): Promise<boolean> {
  const victim = oneOf(
    world,
    world.aliveWorkers.flatMap((worker) => worker.suspectsPid ?? []),
  );
  if (victim) process.kill(victim, 'SIGKILL');
  return victim !== undefined;
}

async function frozen(world: World, alive: Child[], most: number): Promise<boolean> {
  const victim = oneOf(world, alive);
  victim?.signal('SIGSTOP');
  await sleep(world.random.int(200, most));
  victim?.signal('SIGCONT');
  return victim !== undefined;
}

/** As a deployment does it. */
async function replaced(world: World): Promise<boolean> {
  const victim = oneOf(world, world.aliveWorkers);
  if (!victim) return false;
  const { code } = await victim.end('SIGTERM');
  if (code === 0) world.startWorker();
  return true;
}

async function terminated(world: World): Promise<boolean> {
  const victim = oneOf(world, await world.backends());
  if (victim) await world.db.query('select pg_terminate_backend($1)', [victim]);
  return victim !== undefined;
}

async function backendKilled(world: World): Promise<boolean> {
  const victim = oneOf(world, await world.backends());
  if (victim) process.kill(victim, 'SIGKILL');
  return victim !== undefined;
}

async function restarted(world: World): Promise<boolean> {
  await world.cluster.restart(world.random.pick(['fast', 'immediate']), world.random.int(0, 1500));
  return true;
}

/** By two operators at once. */
async function retried(world: World): Promise<boolean> {
  const { rows } = await world.db.query<{ id: string }>(
    'select id from tds_dead_letter_queue where resolved_at is null order by random() limit 1',
  );
  const retry = () => world.operator('POST', `/dashboard/dead-letter/${rows[0]?.id}/retry`).catch(() => undefined);
  if (rows[0]) await Promise.all([retry(), retry()]);
  return rows.length > 0;
}

async function redisKilled({ redis, random }: World): Promise<boolean> {
  await redis?.kill();
  await sleep(random.int(0, 2000));
  await redis?.restart();
  return true;
}

async function redisFrozen({ redis, random }: World): Promise<boolean> {
  redis?.freeze();
  await sleep(random.int(200, 3000));
  redis?.thaw();
  return true;
}
