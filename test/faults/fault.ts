/** What a fault is, and how one round of it runs: load, injection, drain, proof, invariants. */
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { waitFor } from '../helper.ts';
import { backlog, checkInvariants, type Tally, usageIsBack } from './invariants.ts';
import { Random } from './random.ts';
import type { Delivery } from './sender.ts';
import type { World, WorldOptions } from './world.ts';

export type Fault = {
  /** As in the list of faults: F01 … */
  id: string;
  title: string;
  world?: WorldOptions;
  /** The deliveries of a round; default: `mixedLoad`. */
  load?(world: World): Delivery[];
  /** How long the sending takes, in milliseconds. */
  spreadMs?: number;
  /** Sends and harms for `world.harmMs`: a run of minutes is one long round, not many short ones. */
  continuous?: boolean;
  /** Runs while the load is being sent. Resolves when the fault is over and what it broke may heal. */
  inject(world: World): Promise<void>;
  /** I6 and the fault's own conditions, after the backlog is gone: throws unless the fault really happened. */
  proof(world: World): Promise<void> | void;
  /** Why this machine cannot have it; undefined when it can. */
  unavailable?(): string | undefined;
};

export type Round = Tally & {
  seed: number;
  events: number;
  rescued: number;
  staleRejected: number;
  recoveryMs: number;
};

/** Longest time after a fault in which nothing more is done, and the backlog is not empty either. */
export const DRAIN_LIMIT_MS = 60_000;
const DEFAULT_SPREAD_MS = 1500;
const DEFAULT_EVENTS = 60;
const ENTITIES = 20;
let deliveries = 0;

/** One round of a fault on a running world. Throws when an invariant or the proof fails. */
export async function runRound(world: World, fault: Fault, seed: number): Promise<Round> {
  world.random = new Random(seed);
  const load = fault.load?.(world) ?? mixedLoad(world);
  const before = await world.tally();
  const usage = new Map([world.api, ...world.aliveWorkers].map((child) => [child, child.usage()]));
  const sending = world.sender.sendAll(
    load,
    fault.continuous ? world.harmMs : (fault.spreadMs ?? DEFAULT_SPREAD_MS),
    world.random,
  );
  sending.catch(() => undefined);
  await fault.inject(world);
  const healedAt = performance.now();
  await sending;
  await drained(world);
  const recoveryMs = Math.round(performance.now() - healedAt);
  const tally = await checkInvariants(world);
  await fault.proof(world);
  usageIsBack(usage);
  const after = await world.tally();
  return {
    ...tally,
    seed,
    events: load.length,
    rescued: after.rescued - before.rescued,
    staleRejected: after.staleRejected - before.staleRejected,
    recoveryMs,
  };
}

/** Waits until nothing is waiting or in hand, as long as it becomes less: a slow machine takes its time. */
export async function drained(world: World): Promise<void> {
  for (let left = await backlog(world); left > 0; ) left = await lessThan(world, left);
}

async function lessThan(world: World, left: number): Promise<number> {
  const less = async () => {
    const now = await backlog(world);
    return now < left && { now };
  };
  const progress = await waitFor('the backlog to become less', less, DRAIN_LIMIT_MS).catch(async (error: Error) => {
    throw new Error(`${error.message}\n${await world.whatIsLeft()}`);
  });
  return progress.now;
}

/** Invoices of few entities, so that order matters, each a moment's work. */
export function mixedLoad(world: World, count = DEFAULT_EVENTS): Delivery[] {
  return Array.from({ length: count }, () =>
    delivery({ entityId: String(world.random.int(1, ENTITIES)), fault: { waitMs: world.random.int(1, 40) } }),
  );
}

/** The same fault where handlers take sets: claimed, completed and fenced another way. */
export function inSets(fault: Fault): Fault {
  const workerEnv = { ...fault.world?.workerEnv, HANDLERS_DIR: path.join(import.meta.dirname, 'set-handlers') };
  return { ...fault, title: `${fault.title}, in sets`, world: { ...fault.world, workerEnv } };
}

/** A delivery whose handler waits until `world.openGate()` is called: until then some worker has it in hand. */
export function gated(world: World, fault: object = { gate: world.gate() }): Delivery {
  return delivery({ key: gatedKey(world), fault: { ...fault } });
}

export const gatedKey = (world: World) => `gated ${world.random.seed}`;

/** A delivery under a key of its own. */
export function delivery(given: Partial<Delivery> = {}): Delivery {
  deliveries += 1;
  return { key: `delivery ${deliveries}`, module: 'invoice', entityId: `alone ${deliveries}`, ...given };
}

/** Lets an injected fault last. The only sleep there is. */
export async function lasting(ms: number): Promise<void> {
  await sleep(ms);
}
