/** The queue's verbs with defaults, so that a test names only what it is about. */
import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import type { Database } from '../../src/db/database.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import { isLockTimeout } from '../../src/errors.ts';
import { newEventId } from '../../src/inbox/uuid.ts';
import type { RetryPolicy } from '../../src/queue/backoff.ts';
import { type ClaimOptions, claim } from '../../src/queue/claim.ts';
import { type RetryResult, retryDeadLetter } from '../../src/queue/dead-letter.ts';
import { type Enqueued, enqueue } from '../../src/queue/enqueue.ts';
import type { ClaimedEvent } from '../../src/queue/event.ts';
import { finish } from '../../src/queue/finish.ts';
import { LowWater } from '../../src/queue/low-water.ts';
import { transition } from '../../src/queue/state.ts';
import type { Outcome } from '../../src/queue/vocabulary.ts';

export const POLICY: RetryPolicy = { maxAttempts: 3, baseSeconds: 0, maxSeconds: 0 };
export const SUCCESS: Outcome = { kind: 'succeeded', label: 'applied' };
export const RELEASED: Outcome = { kind: 'released', seconds: 0, tag: 'UnknownError', message: 'broken off' };
/** One event of each entity, or all events of each. */
export const ONE_EACH = { perEntity: 1 };
export const ALL_OF_EACH = { perEntity: 1000 };

/** Stores one event per entity id, in this order. Returns their ids. */
export async function arrive(
  pool: Pool | PoolClient,
  entityIds: string[],
  over: Partial<Enqueued> = {},
): Promise<string[]> {
  const events = entityIds.map((entityId) => inboxRow(entityId, over));
  await enqueue(pool, events);
  return events.map((event) => event.eventId);
}

/** A worker that is registered and whose lease runs for `seconds` (negative: has run out). */
export async function registerWorker(pool: Pool, seconds = 30): Promise<string> {
  const workerId = randomUUID();
  await pool.query(
    `insert into tds_workers (worker_id, host, pid, expires_at, concurrency)
     values ($1, 'test', 1, now() + $2 * interval '1 second', 1)`,
    [workerId, seconds],
  );
  return workerId;
}

/** A claimer with a low-water mark of its own, as each worker has. */
export class Claimer {
  readonly workerId: string;
  low = new LowWater();
  readonly #pool: Pool;

  constructor(pool: Pool, workerId: string = randomUUID()) {
    this.#pool = pool;
    this.workerId = workerId;
  }

  claim(options: Partial<ClaimOptions> = {}): Promise<ClaimedEvent[]> {
    const defaults = { limit: 10, perEntity: 1, maxBytes: 16 << 20, from: 'head', withPayload: false } as const;
    return claim(this.#pool, this.low, { workerId: this.workerId, ...defaults, ...options });
  }

  /** Ends events in one transaction, as the worker does; `effects` run in it before. */
  end(events: ClaimedEvent[], outcome: Outcome = SUCCESS, effects?: (client: PoolClient) => Promise<unknown>) {
    return inTransaction(this.#pool, async (client) => {
      await effects?.(client);
      const ends = events.map((event) => ({ event, transition: transition(event, outcome, POLICY), durationMs: 1 }));
      await finish(client, this.workerId, ends);
      for (const event of events) this.low.lookAgainFrom(event);
    });
  }
}

export async function statusOf(pool: Pool, id: string): Promise<string> {
  const { rows } = await pool.query('select status, attempt_count from tds_sync_queue where id = $1', [id]);
  return `${rows[0]?.status} ${rows[0]?.attempt_count}`;
}

function inboxRow(entityId: string, over: Partial<Enqueued>): Enqueued {
  return {
    eventId: newEventId(),
    dedupeKey: randomUUID(),
    versioned: true,
    version: new Date('2026-01-01T00:00:00Z'),
    source: 'webhook',
    organizationId: '60000000001',
    module: 'invoice',
    action: 'updated',
    entityId,
    eventType: 'invoice.updated',
    quarantineReason: null,
    record: Buffer.from(JSON.stringify({ invoice_id: entityId })),
    rawBody: null,
    ip: null,
    userAgent: null,
    request: null,
    ...over,
  };
}

/** On a busy machine a claim may wait for another's commit for longer than claims do: it takes nothing, and comes again. */
export function nothingIfBusy(error: unknown): [] {
  if (isLockTimeout(error)) return [];
  throw error;
}

/** Whether somebody waits for an advisory lock. */
export async function someoneWaits(pool: Pool): Promise<boolean> {
  const { rows } = await pool.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and wait_event = 'advisory'`,
  );
  return rows.length > 0;
}

/** As the API retries an open dead letter. */
export function retryOne(db: Database, id: string): Promise<RetryResult> {
  return db.transaction().execute((trx) => retryDeadLetter(trx, id));
}
