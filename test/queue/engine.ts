/** The queue's verbs with defaults, so that a test names only what it is about. */
import { randomUUID } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { inTransaction, onClient } from '../../src/db/transaction.ts';
import { newEventId } from '../../src/inbox/uuid.ts';
import { type ClaimOptions, claim } from '../../src/queue/claim.ts';
import { completeSet } from '../../src/queue/complete.ts';
import { type Enqueued, enqueue } from '../../src/queue/enqueue.ts';
import type { ClaimedEvent } from '../../src/queue/event.ts';
import { finish } from '../../src/queue/finish.ts';
import { type LowWater, newLowWater } from '../../src/queue/low-water.ts';
import { markProcessing } from '../../src/queue/mark.ts';
import type { RetryPolicy } from '../../src/queue/retry.ts';
import { type Outcome, transition } from '../../src/queue/state.ts';

export const POLICY: RetryPolicy = { maxAttempts: 3, baseSeconds: 0, maxSeconds: 0 };
export const SUCCESS: Outcome = { kind: 'succeeded', label: 'applied' };

/** Stores one event per entity id, in this order. Returns their ids. */
export async function arrive(pool: Pool, entityIds: string[], over: Partial<Enqueued> = {}): Promise<string[]> {
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

/** A claimer with low-water marks of its own, as each worker has. */
export class Claimer {
  readonly workerId: string;
  readonly low: LowWater = newLowWater();
  readonly #pool: Pool;
  readonly #ofSets = new WeakSet<ClaimedEvent>();

  constructor(pool: Pool, workerId: string = randomUUID()) {
    this.#pool = pool;
    this.workerId = workerId;
  }

  async claim(options: Partial<ClaimOptions> = {}): Promise<ClaimedEvent[]> {
    const all = { workerId: this.workerId, limit: 10, siblings: 'each', withPayload: false, ...options } as const;
    const events = await onClient(this.#pool, (client) => claim(client, this.low, all));
    if (all.siblings === 'together') for (const event of events) this.#ofSets.add(event);
    return events;
  }

  /** Ends events in one transaction, as the worker does for sets and for single events; `effects` run in it before. */
  end(events: ClaimedEvent[], outcome: Outcome = SUCCESS, effects?: (client: PoolClient) => Promise<unknown>) {
    return inTransaction(this.#pool, async (client) => {
      await effects?.(client);
      const isSet = events.every((event) => this.#ofSets.has(event));
      if (isSet && outcome.kind === 'succeeded') {
        const labels = new Map(events.map(({ id }) => [id, outcome.label ?? '']));
        return completeSet(client, this.workerId, { events, labels, durationMs: 1 });
      }
      if (isSet) await this.mark(events);
      const ends = events.map((event) => ({
        event,
        transition: transition(event.attemptCount, outcome, POLICY),
        durationMs: 1,
      }));
      return finish(client, this.workerId, ends);
    });
  }

  /** Shows events of a set as processing. */
  mark(events: ClaimedEvent[]): Promise<void> {
    return onClient(this.#pool, (client) => markProcessing(client, [...new Set(events.map(({ lease }) => lease))]));
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
