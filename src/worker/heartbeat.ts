import os from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import type { Logger } from '../log.ts';
import type { OutageLog } from '../outage-log.ts';
import { WORKERS_CHANNEL } from '../queue/drain.ts';
import { sessionsOf } from '../queue/rescue.ts';
import { VERSION } from '../version.ts';
import { Wakeup } from '../wakeup.ts';
import { WORKFLOWS_CHANNEL } from '../workflows/held.ts';
import { reportFailure } from './report.ts';

export type HeartbeatOptions = {
  url: string;
  workerId: string;
  leaseSeconds: number;
  concurrency: number;
  log: Logger;
  outage?: OutageLog | undefined;
  inFlight(): number;
  /** New work may be waiting; of which kind when a notification of this channel says so. */
  onWake(channel?: string): void;
  /** The leases ran out and were taken back: what is in hand is no longer ours. */
  onLeaseLost(): void;
  /** An operator has drained this worker, by name, or lets it claim again: null. */
  onDrained(by: string | null): void;
};

const RECONNECT_MS = 200;
const GOODBYE_MS = 500;

/**
 * The worker's own connection, which no handler can take away: it renews the worker's lease and listens for new
 * events. A half-open one is noticed by the next heartbeat, whose answer must come within 5 s, and is replaced.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  #client: pg.Client | undefined;
  #running: Promise<void> | undefined;
  #stopped = new AbortController();
  readonly #wakeup = new Wakeup();
  #connectedAt = 0;
  #drainedBy: string | null = null;
  draining = false;

  constructor(options: HeartbeatOptions) {
    this.#options = options;
  }

  /** Resolves when the worker is registered. Keeps trying while the database is away. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#running = this.#live(resolve);
    });
  }

  /** Milliseconds since the connection was made; 0 while there is none. */
  get steadyMs(): number {
    return this.#client ? performance.now() - this.#connectedAt : 0;
  }

  /** Says goodbye. What the worker still holds is taken back by others at once. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    this.#wakeup.wake();
    await this.#running;
  }

  async #live(onRegistered: () => void): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      try {
        await this.#connect();
        await this.#beat(onRegistered);
        await this.#client?.query('update tds_workers set ended_at = now() where worker_id = $1', [
          this.#options.workerId,
        ]);
      } catch (error) {
        reportFailure(this.#options, error, 'the connection of the heartbeat was lost, reconnecting');
        await this.#pause(RECONNECT_MS);
      } finally {
        await this.#disconnect();
      }
    }
  }

  async #connect(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#options.url,
      application_name: sessionsOf(this.#options.workerId),
      connectionTimeoutMillis: 2000,
      query_timeout: 5000,
      keepAlive: true,
    });
    client.on('notification', ({ channel }) => {
      if (channel === WORKERS_CHANNEL) this.#wakeup.wake();
      else this.#options.onWake(channel);
    });
    client.on('error', () => client.end().catch(() => {}));
    await client.connect();
    this.#client = client;
    this.#connectedAt = performance.now();
    await client.query(`listen tds_queue; listen ${WORKFLOWS_CHANNEL}; listen ${WORKERS_CHANNEL}`);
    this.#options.onWake();
  }

  /** Heartbeats until the worker stops; throws when the connection is lost. */
  async #beat(onRegistered: () => void): Promise<void> {
    const ended = new Promise<never>((_, reject) =>
      this.#client?.once('end', () => reject(new Error('connection ended'))),
    );
    ended.catch(() => {});
    while (!this.#stopped.signal.aborted) {
      await Promise.race([this.#renew(), ended]);
      onRegistered();
      await Promise.race([this.#wakeup.sleep((this.#options.leaseSeconds * 1000) / 3), ended]);
    }
  }

  async #renew(): Promise<void> {
    const { workerId, leaseSeconds, concurrency, inFlight } = this.#options;
    const { rows } = await (this.#client as pg.Client).query<Renewed>(RENEW, [
      workerId,
      os.hostname(),
      process.pid,
      leaseSeconds,
      concurrency,
      inFlight(),
      this.draining,
      VERSION,
    ]);
    const [renewed] = rows;
    if (renewed?.lost) this.#options.onLeaseLost();
    const drainedBy = renewed?.drained_by ?? null;
    if (drainedBy !== this.#drainedBy) this.#options.onDrained(drainedBy);
    this.#drainedBy = drainedBy;
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#stopped.signal }).catch(() => {});
  }

  async #disconnect(): Promise<void> {
    const client = this.#client;
    this.#client = undefined;
    if (!client) return;
    // end() waits for the server to hang up, which one that has vanished never does.
    await Promise.race([client.end().catch(() => {}), sleep(GOODBYE_MS, undefined, { ref: false })]);
    (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy();
  }
}

type Renewed = { lost: boolean; drained_by: string | null };

// A row that had been ended: somebody found the worker dead and took its events back.
const RENEW = `
with before as materialized (select ended_at is not null as lost from tds_workers where worker_id = $1 for update)
insert into tds_workers (worker_id, host, pid, expires_at, concurrency, in_flight, draining, version)
values ($1, $2, $3, now() + $4 * interval '1 second', $5, $6, $7, $8)
on conflict (worker_id) do update set heartbeat_at = now(), expires_at = excluded.expires_at, ended_at = null,
  culprit = null, in_flight = excluded.in_flight, draining = excluded.draining
returning coalesce((select lost from before), false) as lost,
  case when drained_at is not null then coalesce(drained_by, 'somebody') end as drained_by`;
