import type { Pool } from 'pg';
import type { Logger } from '../log.ts';
import { claim } from './claim.ts';
import type { ClaimedEvent } from './event.ts';
import { type CountCall, countCallInPostgres } from './rate-limit.ts';

/**
 * How a worker learns that there is something to claim. The queue itself, its order, leases and attempts are
 * PostgreSQL's in either case: a dispatcher only decides when and where a worker looks.
 */
export type Dispatcher = {
  /** Claims for this worker what it knows, or finds, to be waiting. */
  claim: typeof claim;
  /** These events have ended: later ones of their entities may run. */
  ended(events: ClaimedEvent[]): void;
  /** Something new may wait in PostgreSQL. */
  wake(): void;
  /** Counts the calls of rate-limited handlers, of all workers together. */
  countCall: CountCall;
  /** @param onWork there is something to claim */
  start(onWork: () => void): void;
  /** Stops taking work from others. Done within 2 s, whether Redis answers or not; safe to call twice. */
  stop(): Promise<void>;
};

export type DispatchOptions = {
  queueDriver: 'postgres' | 'bullmq';
  /** Required for bullmq. */
  redisUrl: string | undefined;
  pool: Pool;
  workerId: string;
  log: Logger;
};

/** The dispatcher of QUEUE_DRIVER. BullMQ is loaded only when it is chosen: it costs 25 MB. */
export async function createDispatcher(options: DispatchOptions): Promise<Dispatcher> {
  const { queueDriver, redisUrl, pool } = options;
  if (queueDriver === 'postgres') return dispatchByPostgres(pool);
  if (!redisUrl) throw new Error('QUEUE_DRIVER=bullmq needs REDIS_URL');
  const { RedisDispatcher } = await import('./redis-dispatcher.ts');
  return new RedisDispatcher({ ...options, redisUrl });
}

/** Every worker looks for itself, when it is woken by NOTIFY and once a second. */
export function dispatchByPostgres(pool: Pool): Dispatcher {
  return {
    claim,
    ended() {},
    wake() {},
    countCall: (name, durationMs) => countCallInPostgres(pool, name, durationMs),
    start() {},
    async stop() {},
  };
}

export type RedisHealth = { name: 'redis'; status: 'up' | 'down'; latency_ms: number };

/** Asks Redis to store something and gives it 2 s; never throws. For health: a Redis that refuses writes is down. */
export async function checkRedis(redisUrl: string): Promise<RedisHealth> {
  const started = performance.now();
  const { writesToRedis } = await import('./bullmq.ts');
  const up = await writesToRedis(redisUrl);
  return {
    name: 'redis',
    status: up ? 'up' : 'down',
    latency_ms: Math.round((performance.now() - started) * 100) / 100,
  };
}
