import { randomUUID } from 'node:crypto';
import type { Config } from '../config.ts';
import { openDatabase } from '../db/database.ts';
import { loadHandlers } from '../handlers/load.ts';
import { mirror } from '../handlers/mirror.ts';
import { Registry } from '../handlers/registry.ts';
import type { Logger } from '../log.ts';
import { createDispatcher } from '../queue/dispatch.ts';
import type { Part } from '../shutdown.ts';
import type { CrashPoint, Crew } from './crew.ts';
import { Lifeline } from './lifeline.ts';
import { Loop } from './loop.ts';
import { Schedule } from './schedule.ts';
import { Sweep } from './sweep.ts';

/** Puts a worker together: its own pool, its lifeline, the claim loop, sweeps and schedule. */
export async function createWorker(config: Config & { databaseUrl: string }, log: Logger): Promise<Part> {
  const { databaseUrl: url, leaseSeconds, workerConcurrency: concurrency } = config;
  const handlers = [mirror, ...(config.handlersDir ? await loadHandlers(config.handlersDir, log) : [])];
  const { db, pool, close } = openDatabase({
    url,
    max: config.poolSize + config.maxOverflow,
    applicationName: 'tds-core-worker',
    // A worker that freezes in mid-transaction must not keep its row locks longer than its lease.
    idleInTransactionTimeoutMs: leaseSeconds * 1000,
    log,
  });
  const workerId = randomUUID();
  const crew: Crew = {
    workerId,
    pool,
    dispatcher: await createDispatcher({ ...config, pool, workerId, log }),
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
  return {
    name: 'worker',
    async start() {
      await lifeline.start();
      loop.start();
      sweep.start();
      await schedule.start();
      const names = handlers.map(({ name }) => name);
      log.info({ component: 'worker', worker_id: crew.workerId, handlers: names }, 'worker started');
    },
    /** Drains for DRAIN_SECONDS; what is not done by then is given back uncharged. */
    async stop() {
      lifeline.draining = true;
      await schedule.stop();
      await loop.stop(config.drainSeconds * 1000);
      await sweep.stop();
      await lifeline.stop();
      await close();
    },
  };
}
