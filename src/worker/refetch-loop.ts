import type { Pool } from 'pg';
import type { Database } from '../db/database.ts';
import { refetchDue } from '../sync/refetch.ts';
import { organizationsWithDue, wantStale } from '../sync/refetches.ts';
import { Wakeup } from '../wakeup.ts';
import { Postponed } from '../workflows/workflow.ts';
import type { ZohoClient } from '../zoho/client/client.ts';
import { ZohoError } from '../zoho/client/errors.ts';
import type { WorkerContext } from './context.ts';
import { reportFailure } from './report.ts';

const POLL_MS = 1000;
const LOOK_FOR_STALE_MS = 60_000;
/** For what does not say how long it lasts. */
const WAIT_SECONDS = 15;
/** What was to last for hours may be over sooner: an operator has raised a limit, or corrected a credential. */
const LONGEST_WAIT_SECONDS = 60;

export type RefetchLoopOptions = {
  db: Database;
  pool: Pool;
  /** Clients by organization; without any there is nothing to do. */
  clients: ReadonlyMap<string, ZohoClient>;
  pollMs?: number;
};

/** Looks once a second for records to fetch alone, and waits where the quota or the API says so. */
export class RefetchLoop {
  readonly #context: Pick<WorkerContext, 'log' | 'outage'>;
  readonly #options: RefetchLoopOptions;
  readonly #wakeup = new Wakeup();
  readonly #stopped = new AbortController();
  readonly #waitUntil = new Map<string, number>();
  #staleAt = 0;
  #running: Promise<void> | undefined;
  /** An operator has drained this worker: it begins to fetch nothing more. */
  drained = false;

  constructor(context: Pick<WorkerContext, 'log' | 'outage'>, options: RefetchLoopOptions) {
    this.#context = context;
    this.#options = options;
  }

  start(): void {
    if (this.#options.clients.size > 0) this.#running = this.#run();
  }

  /** Breaks off the calls under way: what was not written is fetched again. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wakeup.wake();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      await this.#round().catch((error) =>
        reportFailure(this.#context, error, 'looking for refetches failed', 'refetch'),
      );
      if (!this.#stopped.signal.aborted) await this.#wakeup.sleep(this.#options.pollMs ?? POLL_MS);
    }
  }

  async #round(): Promise<void> {
    if (this.drained) return;
    const { db, clients } = this.#options;
    const organizations = [...clients.keys()];
    if (performance.now() >= this.#staleAt) {
      this.#staleAt = performance.now() + LOOK_FOR_STALE_MS;
      for (const organizationId of organizations) await wantStale(db, organizationId);
    }
    for (const organizationId of await organizationsWithDue(db, organizations)) {
      const client = clients.get(organizationId);
      if (client && performance.now() >= (this.#waitUntil.get(organizationId) ?? 0)) await this.#refetch(client);
    }
  }

  async #refetch(client: ZohoClient): Promise<void> {
    const { db, pool } = this.#options;
    const { organizationId } = client;
    const { log } = this.#context;
    try {
      const records = await refetchDue(db, pool, client, this.#stopped.signal);
      if (records > 0) log.info({ component: 'refetch', organization_id: organizationId, records }, 'records fetched');
    } catch (error) {
      if (this.#stopped.signal.aborted) return;
      if (!(error instanceof Postponed || error instanceof ZohoError)) throw error;
      const seconds = error instanceof Postponed ? Math.min(error.seconds, LONGEST_WAIT_SECONDS) : WAIT_SECONDS;
      this.#waitUntil.set(organizationId, performance.now() + seconds * 1000);
      const line = { component: 'refetch', organization_id: organizationId, seconds, reason: (error as Error).message };
      log.info(line, 'refetches wait');
    }
  }
}
