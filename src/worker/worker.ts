import { randomUUID } from 'node:crypto';
import type { Config } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { mirror } from '../handlers/mirror.ts';
import { loadHandlers, Registry } from '../handlers/registry.ts';
import type { Logger } from '../log.ts';
import type { CrashPoint, Crew } from './crew.ts';
import { Lifeline } from './lifeline.ts';
import { Loop } from './loop.ts';
import { leaked } from './run-handlers.ts';
import { Schedule } from './schedule.ts';
import { Sweep } from './sweep.ts';

export type Worker = {
  start(): Promise<void>;
  /** Drains for at most `drainMs`, then gives back the rest uncharged. Safe to call twice. */
  stop(drainMs: number): Promise<void>;
  /** Handlers that went on after their time-out: so many cost a slot's worth of memory each. */
  leaks(): number;
};

/** Puts a worker together: its own pool, its lifeline, the claim loop, sweeps and schedule. */
export async function createWorker(config: Config & { databaseUrl: string }, log: Logger): Promise<Worker> {
  const { databaseUrl: url, leaseSeconds, workerConcurrency: concurrency } = config;
  const handlers = [mirror, ...(config.handlersDir ? await loadHandlers(config.handlersDir) : [])];
  const { db, pool, close } = openDatabase({
    url,
    max: config.poolSize + config.maxOverflow,
    applicationName: 'tds-core-worker',
    // A worker that freezes in mid-transaction must not keep its row locks longer than its lease.
    idleInTransactionTimeoutMs: leaseSeconds * 1000,
    queryTimeoutMs: 60_000,
    log,
  });
  const crew: Crew = {
    workerId: randomUUID(),
    pool,
    registry: new Registry(handlers),
    policy: {
      maxAttempts: config.maxAttempts,
      baseSeconds: config.retryBaseSeconds,
      maxSeconds: config.retryMaxSeconds,
    },
    log,
    crash: (point: CrashPoint) => {
      if (config.crashAt === point) process.kill(process.pid, 'SIGKILL');
    },
  };
  const loop = new Loop(crew, { concurrency });
  const lifeline = new Lifeline({
    ...{ url, workerId: crew.workerId, leaseSeconds, concurrency, log },
    inFlight: () => loop.inFlight,
    onWake: () => loop.wake(),
    onLeaseLost: () => loop.loseLeases(),
  });
  const sweep = new Sweep(crew, loop, lifeline, leaseSeconds);
  const schedule = new Schedule(crew, db, config.retentionDays);
  let stopped: Promise<void> | undefined;

  return {
    async start() {
      await lifeline.start();
      loop.start();
      sweep.start();
      await schedule.start();
      log.info(
        { component: 'worker', worker_id: crew.workerId, handlers: handlers.map(({ name }) => name) },
        'worker started',
      );
    },
    stop(drainMs) {
      stopped ??= (async () => {
        lifeline.draining = true;
        await schedule.stop();
        await loop.stop(drainMs);
        await sweep.stop();
        await lifeline.stop();
        await close();
      })();
      return stopped;
    },
    leaks: () => leaked.size,
  };
}
