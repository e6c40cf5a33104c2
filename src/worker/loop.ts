import { setTimeout as sleep } from 'node:timers/promises';
import type { QueuedEvent } from '../handlers/handler.ts';
import type { ClaimOptions } from '../queue/claim.ts';
import { LowWater } from '../queue/low-water.ts';
import { Wakeup } from '../wakeup.ts';
import { Interrupted, type WorkerContext } from './context.ts';
import { giveBack } from './end.ts';
import { executeOne, executeSet } from './execute.ts';
import { reportFailure } from './report.ts';

export type LoopOptions = {
  /** Events handled one at a time, at once: WORKER_CONCURRENCY. */
  concurrency: number;
  /** Most events of a set, where all handlers take sets. */
  setSize?: number;
  /** Bytes of payload after which a set takes no further event. */
  setBytes?: number;
  /** `suspects`: only events that were in hand when their worker died; see suspects.ts for how many at once. */
  from?: 'head' | 'suspects';
  /** Covers lost notifications. */
  pollMs?: number;
  /** Called when a claim finds nothing, with the milliseconds since the last event ended, or since the beginning. */
  onIdle?(idleMs: number): void;
};

const LANES = 2;
const DEFAULTS = { setSize: 1000, setBytes: 16 << 20, from: 'head', pollMs: 1000, onIdle() {} } as const;
const AFTER_ERROR_MS = 500;
/** What is still in hand so long after it was broken off is left to rescue. */
const LAST_DEADLINE_MS = 10_000;

/**
 * How often and how much: claims events while there are any, hands them to execute.ts, and sleeps in between.
 *
 * Where every handler takes sets, two lanes claim and run sets: while PostgreSQL works for one lane, Node works for the
 * other. Suspects have one lane. Otherwise one lane claims one event per slot ahead; those whose turn does not come before
 * a shutdown are given back. A lane holds nothing while it claims, so no lane ever waits for another.
 */
export class Loop {
  readonly #context: WorkerContext;
  readonly #options: Required<LoopOptions>;
  readonly #wakeup = new Wakeup();
  readonly #low = new LowWater();
  readonly #inHand = new Set<QueuedEvent>();
  #interrupt = new AbortController();
  #lanes: Promise<void>[] = [];
  #slots = new Set<Promise<void>>();
  #stopping = false;
  #prefetch = 1;
  #suspectsAtOnce = 1;
  #busyAt = performance.now();
  /** An operator has drained this worker. The claim itself looks; this spares asking, and the notices of Redis. */
  drained = false;

  constructor(context: WorkerContext, options: LoopOptions) {
    this.#context = context;
    this.#options = { ...DEFAULTS, ...options };
  }

  get inFlight(): number {
    return this.#inHand.size;
  }

  /** The leases this process knows of; anything else that is claimed for it was lost on the way. */
  get leases(): string[] {
    return [...new Set([...this.#inHand].map((event) => event.lease))];
  }

  start(): void {
    const lanes = this.#takesSets && this.#options.from === 'head' ? LANES : 1;
    for (let lane = 0; lane < lanes; lane += 1) this.#lanes.push(this.#lane());
    this.#context.dispatcher.start(() => this.#wakeup.wake());
  }

  wake(): void {
    this.#context.dispatcher.wake();
    this.#wakeup.wake();
  }

  /** The leases are gone: breaks off what is in hand and goes on with new claims. */
  loseLeases(): void {
    this.#interrupt.abort(new Interrupted('lease_lost'));
    this.#interrupt = new AbortController();
  }

  /**
   * Stops claiming and waits for what is in hand; what is not done after `drainMs` is broken off and given back.
   * @throws Error when something is still in hand 10 s after that
   */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    this.#wakeup.wake();
    const deadline = setTimeout(() => this.#interrupt.abort(new Interrupted('shutdown')), drainMs);
    const ended = this.#end().then(() => true);
    const inTime = await Promise.race([ended, sleep(drainMs + LAST_DEADLINE_MS, false, { ref: false })]);
    clearTimeout(deadline);
    if (!inTime) throw new Error(`${this.inFlight} events are still in hand: they are left to be taken back`);
  }

  async #end(): Promise<void> {
    await this.#context.dispatcher.stop();
    await Promise.all(this.#lanes);
    await Promise.all(this.#slots);
  }

  get #takesSets(): boolean {
    return this.#context.registry.allTakeSets;
  }

  async #lane(): Promise<void> {
    while (!this.#stopping) {
      try {
        const events = this.drained ? [] : await this.#claim();
        if (events.length > 0) await this.#run(events);
        else await this.#idle();
      } catch (error) {
        reportFailure(this.#context, error, 'claiming events failed');
        await this.#wakeup.sleep(AFTER_ERROR_MS);
      }
    }
  }

  async #idle(): Promise<void> {
    this.#options.onIdle(performance.now() - this.#busyAt);
    await this.#wakeup.sleep(this.#options.pollMs);
  }

  async #claim(): Promise<QueuedEvent[]> {
    const { pool, dispatcher } = this.#context;
    const events = await dispatcher.claim(pool, this.#low, this.#claimOptions());
    for (const event of events) this.#inHand.add(event);
    return events;
  }

  #claimOptions(): ClaimOptions {
    const { workerId, registry } = this.#context;
    const { setBytes, from } = this.#options;
    const limit = this.#limit;
    const withPayload = registry.handlers.some((handler) => handler.name !== 'mirror');
    return { workerId, limit, perEntity: this.#takesSets ? limit : 1, maxBytes: setBytes, from, withPayload };
  }

  get #limit(): number {
    const { setSize, concurrency, from } = this.#options;
    if (from === 'suspects') return Math.min(this.#suspectsAtOnce, this.#takesSets ? setSize : concurrency);
    return this.#takesSets ? setSize : Math.min(setSize, Math.max(concurrency, this.#prefetch));
  }

  async #run(events: QueuedEvent[]): Promise<void> {
    const sets = events.filter((event) => this.#context.registry.takesSets(event.eventType));
    const singles = events.filter((event) => !sets.includes(event));
    this.#prefetch = singles.length > 0 ? 1 : this.#prefetch * 2;
    if (sets.length > 0) await this.#hold(sets, executeSet);
    for (const event of singles) {
      while (this.#slots.size >= this.#options.concurrency) await Promise.race(this.#slots);
      this.#occupySlot(event);
    }
    if (this.#options.from === 'suspects') await this.#survive();
  }

  /** All suspects in hand have ended, and the process is still there: twice as many may be in hand next time. */
  async #survive(): Promise<void> {
    await Promise.all(this.#slots);
    this.#suspectsAtOnce *= 2;
  }

  #occupySlot(event: QueuedEvent): void {
    const slot = this.#hold([event], (context, [only], signal) => executeOne(context, only as QueuedEvent, signal));
    this.#slots.add(slot);
    slot.then(() => {
      this.#slots.delete(slot);
      this.#wakeup.wake();
    });
  }

  /** Runs events and knows them as in hand until they have ended. What cannot be ended is taken back by the sweep. */
  async #hold(
    events: QueuedEvent[],
    execute: (context: WorkerContext, events: QueuedEvent[], signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const run = this.#stopping ? giveBack : execute;
    await run(this.#context, events, this.#interrupt.signal).catch((error: unknown) => {
      reportFailure(this.#context, error, 'ending events failed');
    });
    for (const event of events) {
      this.#inHand.delete(event);
      this.#low.lookAgainFrom(event);
    }
    this.#context.dispatcher.ended(events);
    this.#busyAt = performance.now();
  }
}
