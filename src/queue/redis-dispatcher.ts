import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import { OutageLog } from '../outage-log.ts';
import { Wakeup } from '../wakeup.ts';
import { type Announcement, Channel } from './bullmq.ts';
import { type ClaimOptions, claim } from './claim.ts';
import type { Dispatcher, DispatchOptions } from './dispatch.ts';
import type { ClaimedEvent } from './event.ts';
import type { LowWater } from './low-water.ts';
import { promote } from './promote.ts';
import { type CallCount, countCallInPostgres } from './rate-limit.ts';
import { Relay, WINDOW } from './relay.ts';

const RECONNECT_MS = 500;
const RELAY_POLL_MS = 1000;
const BACKLOG_POLL_MS = 50;
const RELAY_GAP_MS = 20;
const LOOK_MS = 5000;
/** What a worker can take at once comes in so many announcements, or two idle workers could not share it. */
const BUNDLES = 10;

/**
 * Workers on many hosts, without each of them searching the queue: one worker's relay announces in Redis whose turn
 * it is, and a worker with free hands takes announcements and claims just those entities in PostgreSQL.
 *
 * Redis may lose, repeat or reorder all of it. While it is away every worker claims as it would without Redis; a
 * worker that hears nothing for 5 s looks for itself too; and what waits is announced anew (relay.ts).
 */
export class RedisDispatcher implements Dispatcher {
  readonly #options: DispatchOptions & { redisUrl: string };
  /** Workers claim from PostgreSQL meanwhile, so a Redis that is away is a warning. */
  readonly #outage: OutageLog;
  /** Entities that may have something for us. A guess too many costs two index probes. */
  readonly #entities = new Set<string>();
  readonly #relayWakeup = new Wakeup();
  readonly #demandWakeup = new Wakeup();
  readonly #stopped = new AbortController();
  #onWork: () => void = () => {};
  #channel: Channel | undefined;
  #relaying = false;
  #demand = 0;
  /** Entities per announcement; 0 until the first claim tells how much a worker takes at once. */
  #bundle = 0;
  #delayedIsDue = false;
  #lookedAt = 0;
  #running: Promise<void> | undefined;

  constructor(options: DispatchOptions & { redisUrl: string }) {
    this.#options = options;
    this.#outage = new OutageLog('redis', options.log, { level: 'warn' });
  }

  start(onWork: () => void): void {
    this.#onWork = onWork;
    this.#running ??= this.#live();
  }

  async stop(): Promise<void> {
    if (this.#relaying) await this.#channel?.leaveRelay().catch(() => {});
    this.#stopped.abort();
    this.#channel?.close();
    this.#channel = undefined;
    this.#relayWakeup.wake();
    await this.#running;
  }

  wake(): void {
    this.#relayWakeup.wake();
  }

  ended(events: ClaimedEvent[]): void {
    if (!this.#channel) return; // who looks for itself needs no hints
    for (const { entityKey } of events) this.#entities.add(entityKey);
  }

  async countCall(name: string, durationMs: number): Promise<CallCount> {
    const counted = await this.#channel?.countCall(name, durationMs).catch(() => undefined);
    return counted ?? countCallInPostgres(this.#options.pool, name, durationMs);
  }

  async claim(pool: Pool, low: LowWater, options: ClaimOptions): Promise<ClaimedEvent[]> {
    if (options.from !== 'head') return claim(pool, low, options);
    this.#bundle = Math.ceil(options.limit / BUNDLES);
    if (!this.#channel || this.#isTimeToLook()) return claim(pool, low, options);
    let events: ClaimedEvent[] = [];
    while (events.length === 0 && this.#entities.size > 0) events = await this.#claimKnown(pool, low, options);
    this.#ask(options.limit);
    return events;
  }

  #isTimeToLook(): boolean {
    if (this.#entities.size > 0 || performance.now() - this.#lookedAt < LOOK_MS) return false;
    this.#lookedAt = performance.now();
    return true;
  }

  async #claimKnown(pool: Pool, low: LowWater, options: ClaimOptions): Promise<ClaimedEvent[]> {
    // Twice the limit: half of them are entities whose last event we have just ended.
    const entityKeys = [...this.#entities].slice(0, options.limit * 2);
    for (const key of entityKeys) this.#entities.delete(key);
    try {
      if (this.#delayedIsDue) await promote(pool);
      this.#delayedIsDue = false;
      const events = await claim(pool, low, { ...options, from: entityKeys });
      if (events.length >= options.limit) this.#keepUnserved(entityKeys, events);
      return events;
    } catch (error) {
      for (const key of entityKeys) this.#entities.add(key);
      throw error;
    }
  }

  #keepUnserved(entityKeys: string[], events: ClaimedEvent[]): void {
    const served = new Set(events.map((event) => event.entityKey));
    for (const key of entityKeys) if (!served.has(key)) this.#entities.add(key);
  }

  /** Has as much ready as the next claim can take, and no more: what we hold back, another worker could be doing. */
  #ask(limit: number): void {
    this.#demand = Math.max(0, limit - this.#entities.size);
    this.#demandWakeup.wake();
  }

  /** One channel after the other, each used until something about it fails. */
  async #live(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        const { redisUrl, workerId } = this.#options;
        this.#channel = await Channel.open(redisUrl, workerId, this.#stopped.signal);
        this.#outage.recovered();
        await Promise.race([this.#relay(this.#channel), this.#receive(this.#channel)]);
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#outage.failed(error);
      }
      this.#channel?.close();
      this.#channel = undefined;
      this.#relaying = false;
      this.#entities.clear();
      this.#onWork();
      await sleep(RECONNECT_MS, undefined, { signal: this.#stopped.signal }).catch(() => {});
    }
  }

  async #relay(channel: Channel): Promise<void> {
    let relay = new Relay();
    while (this.#channel === channel) {
      const turn = await channel.holdRelay();
      this.#relaying = turn !== 'elsewhere';
      // Another one relayed before us, or Redis lost its memory (FLUSHALL): what we announced counts no more.
      if (turn === 'taken') relay = new Relay();
      const mayAnnounce = this.#relaying && this.#bundle > 0 && (await channel.waiting()) < WINDOW;
      const announcements = mayAnnounce ? await this.#waiting(relay) : [];
      await channel.announce(announcements);
      if (announcements.length === 0)
        await this.#relayWakeup.sleep(relay.windowIsFull ? BACKLOG_POLL_MS : RELAY_POLL_MS);
      await sleep(RELAY_GAP_MS);
    }
  }

  /** None while PostgreSQL is away: that is no reason to give up Redis. */
  async #waiting(relay: Relay): Promise<Announcement[]> {
    return relay.waiting(this.#options.pool, this.#bundle).catch((error: unknown) => {
      this.#options.log.warn({ component: 'dispatch', error }, 'reading what has to be announced failed');
      return [];
    });
  }

  async #receive(channel: Channel): Promise<void> {
    while (this.#channel === channel) {
      if (this.#demand === 0) {
        await this.#demandWakeup.sleep(RELAY_POLL_MS);
        continue;
      }
      const received = await channel.receive(this.#demand);
      for (const { entityKeys, wasDelayed } of received) {
        for (const key of entityKeys) this.#entities.add(key);
        this.#demand = Math.max(0, this.#demand - entityKeys.length);
        this.#delayedIsDue ||= wasDelayed;
      }
      if (received.length > 0) this.#onWork();
    }
  }
}
