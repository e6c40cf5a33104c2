import type { Pool } from 'pg';
import type { Registry } from '../handlers/registry.ts';
import type { Logger } from '../log.ts';
import type { Dispatcher } from '../queue/dispatch.ts';
import type { RetryPolicy } from '../queue/retry.ts';

/** A point at which a fault test may kill the process (TDS_CRASH_AT). */
export type CrashPoint = 'after_claim' | 'after_effect' | 'before_commit' | 'after_commit';

/** What everything in the worker works with. */
export type Crew = {
  workerId: string;
  pool: Pool;
  registry: Registry;
  dispatcher: Dispatcher;
  policy: RetryPolicy;
  log: Logger;
  crash(point: CrashPoint): void;
};

/** Why work in hand is broken off. */
export class Interrupted extends Error {
  override name = 'Interrupted';
  constructor(why: 'shutdown' | 'lease_lost') {
    super(why === 'shutdown' ? 'the worker is shutting down' : 'the worker lost its leases');
  }
}
