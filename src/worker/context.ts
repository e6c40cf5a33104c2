import type { Pool } from 'pg';
import type { Registry } from '../handlers/registry.ts';
import type { Logger } from '../log.ts';
import type { ProcessMetrics } from '../monitor/prometheus/process-metrics.ts';
import type { OutageLog } from '../outage-log.ts';
import type { RetryPolicy } from '../queue/backoff.ts';
import type { Dispatcher } from '../queue/dispatch.ts';

/** A point at which a fault test may kill the process (TDS_CRASH_AT). */
export type CrashPoint = 'after_claim' | 'after_effect' | 'before_commit' | 'after_commit';

/** What everything in the worker works with. */
export type WorkerContext = {
  workerId: string;
  /** For the queue's own statements: short, and never waited for by a handler. */
  pool: Pool;
  /** For the transactions of handlers: one connection per event or set that runs. */
  handlerPool: Pool;
  registry: Registry;
  dispatcher: Dispatcher;
  policy: RetryPolicy;
  log: Logger;
  metrics: ProcessMetrics;
  /** Tells of a database that is away; shared by everything in the process. */
  outage?: OutageLog | undefined;
  crash(point: CrashPoint): void;
};

/** Why work in hand is broken off. */
export class Interrupted extends Error {
  override name = 'Interrupted';
  constructor(why: 'shutdown' | 'lease_lost') {
    super(why === 'shutdown' ? 'the worker is shutting down' : 'the worker lost its leases');
  }
}
