/** Adds what a process has counted to the counters of the fleet, every few seconds and when it stops. */
import { randomUUID } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Processes } from '../../db/schema.ts';
import type { Part } from '../../shutdown.ts';
import { VERSION } from '../../version.ts';
import type { Delta, ProcessMetrics } from './process-metrics.ts';

export type CounterWriterOptions = {
  db: Database;
  metrics: ProcessMetrics;
  service: Processes['service'];
  /** Milliseconds between two additions, default 5,000. */
  everyMs?: number;
};

type Batch = { number: number; deltas: Delta[] };

/** A stop does not wait longer for a database that is away: what was counted last is lost then. */
const LAST_WRITE_MS = 2000;
const LAG_RESOLUTION_MS = 20;

/**
 * Each addition is one statement with a number. When its answer is lost, the same one is sent again under the same
 * number until it is answered, and the database adds it once.
 */
export class CounterWriter implements Part {
  readonly name = 'counters';
  readonly #options: CounterWriterOptions;
  readonly #processId = randomUUID();
  readonly #lag = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  #timer: NodeJS.Timeout | undefined;
  #unanswered: Batch | undefined;
  #written = 0;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: CounterWriterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#lag.enable();
    // While the database is away this fails, and what was counted waits for the next time.
    const write = () => this.write().catch(() => {});
    void write();
    this.#timer = setInterval(write, this.#options.everyMs ?? 5000).unref();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#lag.disable();
    const written = this.write().catch(() => {});
    await Promise.race([written, sleep(LAST_WRITE_MS, undefined, { ref: false })]);
  }

  /** Adds what has been counted so far. Throws when the database is away; then it is added the next time. */
  write(): Promise<void> {
    const turn = this.#writing.then(() => this.#writeNext());
    this.#writing = turn.catch(() => {});
    return turn;
  }

  async #writeNext(): Promise<void> {
    if (this.#unanswered) await this.#send(this.#unanswered);
    this.#unanswered = { number: this.#written + 1, deltas: await this.#options.metrics.takeDeltas() };
    await this.#send(this.#unanswered);
  }

  async #send({ number, deltas }: Batch): Promise<void> {
    const { db, service } = this.#options;
    if (number === 1) await forgetProcesses(db);
    // In the order of the key, so that two processes never wait for each other in a circle.
    await sql`
      with mine as (
        insert into tds_processes as p (process_id, service, version, batch, event_loop_lag_seconds, resident_bytes)
        values (${this.#processId}, ${service}, ${VERSION}, ${number}, ${this.#lagSeconds()}, ${process.memoryUsage.rss()})
        on conflict (process_id) do update set batch = excluded.batch, seen_at = now(),
          event_loop_lag_seconds = excluded.event_loop_lag_seconds, resident_bytes = excluded.resident_bytes
        where p.batch < excluded.batch returning 1)
      insert into tds_counters as c (name, labels, value)
      select name, labels, value from mine
        cross join jsonb_to_recordset(${JSON.stringify(deltas)}::jsonb) as d (name text, labels jsonb, value float8)
      order by name, labels
      on conflict (name, labels) do update set value = c.value + excluded.value`.execute(db);
    this.#written = number;
    this.#unanswered = undefined;
  }

  #lagSeconds(): number {
    const lag = Math.max(0, this.#lag.percentile(99) / 1e9 - LAG_RESOLUTION_MS / 1000);
    this.#lag.reset();
    return Number.isFinite(lag) ? lag : 0;
  }
}

/** Each process that starts forgets those that ended: there is one row per start, and no index to keep. */
async function forgetProcesses(db: Database): Promise<void> {
  await sql`delete from tds_processes where seen_at < now() - interval '1 day'`.execute(db);
}
