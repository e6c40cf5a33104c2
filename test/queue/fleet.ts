/** Two workers that dispatch through a Redis, what is sent to them, and what must be true of it in the end. */
import path from 'node:path';
import type pg from 'pg';
import type { Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { parseDelivery } from '../../src/inbox/parse.ts';
import { type Arrival, Inbox } from '../../src/inbox/store.ts';
import type { Part } from '../../src/shutdown.ts';
import { createWorker } from '../../src/worker/worker.ts';
import { silentLog, type TestDatabase, waitFor } from '../helper.ts';

export const HANDLERS_DIR = path.join(import.meta.dirname, 'handlers');

const EFFECTS = `create table if not exists effects (
  nth bigint generated always as identity, event_id uuid, entity_id text, arrival bigint, attempt int,
  at timestamptz not null default clock_timestamp())`;

export class Fleet {
  readonly pool: pg.Pool;
  readonly #inbox: Inbox;
  readonly #workers: Part[];
  /** The events that were accepted. */
  readonly sent: string[] = [];
  #versions = 0;

  private constructor(pool: pg.Pool, workers: Part[]) {
    this.pool = pool;
    this.#inbox = new Inbox(pool, silentLog);
    this.#workers = workers;
  }

  /** Two workers with the handlers of `handlers/`; `env` may say otherwise. */
  static async start(t: Test, { url, pool }: TestDatabase, env: Record<string, string>): Promise<Fleet> {
    await pool.query(EFFECTS);
    const settings = {
      ...{ DATABASE_URL: url, HANDLERS_DIR, LOG_LEVEL: 'silent', DATABASE_POOL_SIZE: '8', DRAIN_SECONDS: '2' },
      ...{ RETRY_BASE_SECONDS: '0.2', QUEUE_DRIVER: 'bullmq', ...env },
    };
    // The process that runs the suspects of a crash reads its settings from the environment, as ours would have.
    const before = { ...process.env };
    Object.assign(process.env, settings);
    t.teardown(() => {
      process.env = before;
    });
    const config = loadConfig(settings);
    const create = () => createWorker({ ...config, databaseUrl: url }, silentLog);
    const workers = [await create(), await create()];
    const fleet = new Fleet(pool, workers);
    t.teardown(() => fleet.stop());
    await Promise.all(workers.map((worker) => worker.start?.()));
    return fleet;
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop?.()));
  }

  /** Sends one event and resolves once it is stored. */
  async send(entity: string, orders: Record<string, unknown> = {}): Promise<string> {
    this.#versions += 1;
    const { eventId } = await this.#inbox.accept(delivery(entity, this.#versions, orders));
    this.sent.push(eventId);
    return eventId;
  }

  /** Events for fifty entities at once, each entity's in the order of its versions. */
  async sendMany(count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, (_, n) => this.send(`entity ${n % 50}`)));
  }

  /** Keeps some events waiting at any time, and no more than the workers can do in seconds. */
  async sendUntil(over: Promise<unknown>): Promise<void> {
    let going = true;
    over.finally(() => {
      going = false;
    });
    while (going) {
      await this.sendMany(50);
      await waitFor('the workers to keep up', async () => !going || (await this.unfinished()) < 200);
    }
  }

  /** Everything that was sent so far has ended, as completed or as a dead letter. */
  async settled(timeoutMs = 30_000): Promise<void> {
    await waitFor('the queue to be empty', async () => (await this.unfinished()) === 0, timeoutMs);
  }

  async unfinished(): Promise<number> {
    const { rows } = await this.pool.query<{ n: string }>(
      `select count(*) as n from tds_sync_queue where status not in ('completed', 'dead_letter')`,
    );
    return Number(rows[0]?.n);
  }

  /** Nothing lost, nothing twice, in order per entity, and no attempt charged for what was not the event's fault. */
  async assertExactlyOnce(t: Test): Promise<void> {
    const { rows } = await this.pool.query<{ n: string }>(
      `select (select count(*) from unnest($1::uuid[]) as sent (id)
               where not exists (select from tds_sync_queue q where q.id = sent.id and q.status = 'completed')) as lost,
              (select count(*) from (select from effects group by event_id having count(*) > 1) as twice) as twice,
              (select count(*) from effects) as effects,
              (select count(*) from tds_sync_queue where id = any ($1) and attempt_count <> 1) as charged,
              (select count(*) from (select arrival < lag(arrival) over (partition by entity_id order by nth) as back
                                     from effects) as pairs where back) as disordered`,
      [this.sent],
    );
    const expected = { lost: '0', twice: '0', effects: String(this.sent.length), charged: '0', disordered: '0' };
    t.same(rows[0], expected, `${this.sent.length} events: none lost, none twice, all in order, one attempt each`);
  }
}

function delivery(entity: string, version: number, orders: Record<string, unknown>): Arrival {
  const last_modified_time = new Date(Date.UTC(2026, 0, 1) + version * 1000).toISOString();
  const body = Buffer.from(
    JSON.stringify({ invoice: { invoice_id: entity, last_modified_time, total: version, ...orders } }),
  );
  const contentType = 'application/json';
  const parsed = parseDelivery({ body, contentType, method: 'POST', defaultOrganization: 'default' });
  if (parsed.kind === 'check') throw new Error('this is no event');
  return { parsed, body, contentType, method: 'POST', path: '/webhooks/zoho-books', userAgent: null, ip: null };
}
