import type { PoolClient } from 'pg';
import { onClient } from '../db/transaction.ts';
import type { QueuedEvent } from '../handlers/handler.ts';
import type { ClaimOptions } from '../queue/claim.ts';
import { lookAgainFrom, newLowWater, refreshLowWater } from '../queue/low-water.ts';
import { Wakeup } from '../wakeup.ts';
import { type Crew, Interrupted } from './crew.ts';
import { executeOne, executeSet, giveBack } from './execute.ts';

export type LoopOptions = {
  /** Events handled one at a time, at once: WORKER_CONCURRENCY. */
  concurrency: number;
  /** Events per claim where all handlers take sets. */
  batchSize?: number;
  /** Covers lost notifications. */
  pollMs?: number;
};

const LANES = 2;
const BATCH = 1000;
const POLL_MS = 1000;
const AFTER_ERROR_MS = 500;

/**
 * How often and how much: claims events while there are any, hands them to execute.ts, and sleeps in between.
 *
 * Where every handler takes sets, two lanes claim sets of 1,000, each finishing one and claiming the next in one
 * transaction: while PostgreSQL works for one lane, Node works for the other. Otherwise one lane claims one event per
 * slot ahead, each under a lease of its own; those whose turn does not come before a shutdown are given back.
 */
export class Loop {
  readonly #crew: Crew;
  readonly #options: Required<LoopOptions>;
  readonly #wakeup = new Wakeup();
  readonly #low = newLowWater();
  readonly #inHand = new Set<QueuedEvent>();
  #interrupt = new AbortController();
  #lanes: Promise<void>[] = [];
  #slots = new Set<Promise<void>>();
  #stopping = false;
  #suspects: Promise<void> | undefined;
  #prefetch = 1;
  #claiming = 0;

  constructor(crew: Crew, options: LoopOptions) {
    this.#crew = crew;
    this.#options = { batchSize: BATCH, pollMs: POLL_MS, ...options };
  }

  get inFlight(): number {
    return this.#inHand.size;
  }

  /** The leases this process knows of; anything else that is claimed for it was lost on the way. */
  get leases(): string[] {
    return [...new Set([...this.#inHand].map((event) => event.lease))];
  }

  start(): void {
    const lanes = this.#crew.registry.allTakeSets ? LANES : 1;
    for (let lane = 0; lane < lanes; lane += 1) this.#lanes.push(this.#lane());
    this.#crew.dispatcher.start(() => this.#wakeup.wake());
  }

  wake(): void {
    this.#crew.dispatcher.wake();
    this.#wakeup.wake();
  }

  /** Looks again from the beginning of the queue: events may have returned to an old place. */
  async refresh(client: PoolClient): Promise<void> {
    await refreshLowWater(client, this.#low);
  }

  /** The leases are gone: breaks off what is in hand and goes on with new claims. */
  loseLeases(): void {
    this.#interrupt.abort(new Interrupted('lease_lost'));
    this.#interrupt = new AbortController();
  }

  /** Stops claiming and waits for what is in hand; what is not done by then is given back uncharged. */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    this.#wakeup.wake();
    const nothingNew = this.#crew.dispatcher.stop();
    const deadline = setTimeout(() => this.#interrupt.abort(new Interrupted('shutdown')), drainMs);
    await Promise.all(this.#lanes);
    await Promise.all(this.#slots);
    await this.#suspects;
    await nothingNew;
    clearTimeout(deadline);
  }

  async #lane(): Promise<void> {
    let next: QueuedEvent[] | undefined;
    while (!this.#stopping || next) {
      try {
        while (this.#suspects) await this.#suspects;
        const events: QueuedEvent[] = next ?? (await this.#claim());
        next = undefined;
        if (events.length === 0) await this.#wakeup.sleep(this.#options.pollMs);
        else next = await this.#run(events);
      } catch (error) {
        this.#crew.log.error({ component: 'worker', error }, 'claiming events failed');
        await this.#wakeup.sleep(AFTER_ERROR_MS);
      }
    }
  }

  /** Runs what was claimed; returns the next set when it was claimed along with the end of this one. */
  async #run(events: QueuedEvent[]): Promise<QueuedEvent[] | undefined> {
    if (this.#crew.registry.allTakeSets) return this.#runSet(events, (client) => this.#claimNext(client));
    const sets = events.filter((event) => this.#crew.registry.takesSets(event.eventType));
    const singles = events.filter((event) => !sets.includes(event));
    this.#prefetch = singles.length > 0 ? 1 : this.#prefetch * 2;
    if (sets.length > 0) await this.#runSet(sets);
    for (const event of singles) {
      while (this.#slots.size >= this.#options.concurrency) await Promise.race(this.#slots);
      this.#occupySlot(event);
    }
    return undefined;
  }

  async #runSet(
    events: QueuedEvent[],
    next?: (client: PoolClient) => Promise<QueuedEvent[] | undefined>,
  ): Promise<QueuedEvent[] | undefined> {
    try {
      const claimed = await executeSet(this.#crew, events, this.#interrupt.signal, next);
      for (const event of claimed ?? []) this.#inHand.add(event);
      return claimed;
    } catch (error) {
      this.#report(error);
      return undefined;
    } finally {
      this.#letGo(events);
    }
  }

  #letGo(events: QueuedEvent[]): void {
    for (const event of events) this.#inHand.delete(event);
    // Sets are in order of priority and arrival.
    if (events[0]) lookAgainFrom(this.#low, events[0]);
    this.#crew.dispatcher.ended(events);
  }

  /** What failed even after every attempt to end it. The sweep gives back what we no longer know of. */
  #report(error: unknown): void {
    this.#crew.log.error({ component: 'worker', error }, 'ending events failed');
  }

  #occupySlot(event: QueuedEvent): void {
    const run = this.#stopping ? giveBack : executeOne;
    const slot = run(this.#crew, event, this.#interrupt.signal)
      .catch((error) => this.#report(error))
      .finally(() => {
        this.#letGo([event]);
        this.#slots.delete(slot);
        this.#wakeup.wake();
      });
    this.#slots.add(slot);
  }

  async #claim(alone = false): Promise<QueuedEvent[]> {
    this.#claiming += 1;
    try {
      const { pool, dispatcher } = this.#crew;
      const events = await onClient(pool, (client) => dispatcher.claim(client, this.#low, this.#claimOptions(alone)));
      for (const event of events) this.#inHand.add(event);
      return events;
    } finally {
      this.#claiming -= 1;
    }
  }

  async #claimNext(client: PoolClient): Promise<QueuedEvent[] | undefined> {
    if (this.#stopping || this.#suspects) return undefined;
    const events = await this.#crew.dispatcher.claim(client, this.#low, this.#claimOptions(false));
    return events.length > 0 ? events : undefined;
  }

  #claimOptions(alone: boolean): ClaimOptions {
    const { workerId, registry } = this.#crew;
    const { batchSize, concurrency } = this.#options;
    const limit = registry.allTakeSets ? batchSize : Math.min(batchSize, Math.max(concurrency, this.#prefetch));
    const withPayload = registry.handlers.some((handler) => handler.name !== 'mirror');
    return {
      workerId,
      limit: alone ? 1 : limit,
      siblings: registry.allTakeSets ? 'together' : 'each',
      alone,
      withPayload,
    };
  }

  /** Runs the suspects of a crash, each as the only event in this process. Called when there are some. */
  runSuspects(): Promise<void> {
    this.#suspects ??= this.#runSuspects().finally(() => {
      this.#suspects = undefined;
    });
    return this.#suspects;
  }

  async #runSuspects(): Promise<void> {
    while (this.#inHand.size > 0 || this.#claiming > 0) await this.#wakeup.sleep(100);
    while (!this.#stopping) {
      const [event] = await this.#claim(true);
      if (!event) return;
      await executeOne(this.#crew, event, this.#interrupt.signal).finally(() => this.#letGo([event]));
    }
  }
}
