import { createHash } from 'node:crypto';
import type { Pool } from 'pg';
import { blamesTheRow, isContention, isDatabaseAway, isOutOfConnections, isServerUnableToWrite } from '../errors.ts';
import type { Logger } from '../log.ts';
import { type Enqueued, enqueue, findStored } from '../queue/enqueue.ts';
import { inSpan, runIn, type Span } from '../tracing.ts';
import type { Delivery, Parsed } from './parse.ts';
import { newEventId } from './uuid.ts';

export type Arrival = {
  parsed: Extract<Parsed, { kind: 'delivery' | 'quarantine' }>;
  body: Buffer;
  contentType: string;
  method: string;
  path: string;
  userAgent: string | null;
  ip: string | null;
};
export type Accepted = { eventId: string; duplicate: boolean; status: 'queued' | 'quarantined' };

/** Nothing was promised: the sender should come again. Becomes 503 with Retry-After. */
export class InboxUnavailable extends Error {
  override name = 'InboxUnavailable';
  readonly retryAfterSeconds = 1;
}

export type InboxOptions = {
  /** Statements on their way at once; a second one overlaps Node's work with PostgreSQL's. */
  concurrency?: number;
  /** Most deliveries and bytes in memory while PostgreSQL stalls; beyond it `accept` refuses at once. */
  maxWaiting?: number;
  maxWaitingBytes?: number;
  /** How long a delivery may wait for its commit. */
  timeoutMs?: number;
};

type Waiting = {
  event: Enqueued;
  since: number;
  span: Span | undefined;
  resolve(accepted: Accepted): void;
  reject(error: Error): void;
};

const BATCH = 200;
const RETRY_MS = 100;
/** A restart is over within seconds; a server without a free connection may stay so: its senders are told sooner. */
const CROWDED_MS = 1000;

/**
 * The inbox by group commit: deliveries that arrive while a statement is on its way share the next one, and each is
 * answered only after its commit. Waiting on purpose for a fuller batch made it slower (measured).
 */
export class Inbox {
  readonly #pool: Pool;
  readonly #log: Logger;
  readonly #options: Required<InboxOptions>;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #running = 0;

  constructor(pool: Pool, log: Logger, options: InboxOptions = {}) {
    this.#pool = pool;
    this.#log = log;
    this.#options = { concurrency: 2, maxWaiting: 5000, maxWaitingBytes: 64 << 20, timeoutMs: 5000, ...options };
  }

  /** Stores one delivery and says under which id; resolves after COMMIT. @throws InboxUnavailable */
  accept(arrival: Arrival): Promise<Accepted> {
    return inSpan('store delivery', { kind: 'producer' }, (span) => this.#accept(toEnqueued(arrival), span));
  }

  #accept(fresh: Enqueued, span: Span | undefined): Promise<Accepted> {
    const event = span ? { ...fresh, traceparent: span.traceparent } : fresh;
    const full =
      this.#waiting.length >= this.#options.maxWaiting || this.#waitingBytes >= this.#options.maxWaitingBytes;
    if (full) return Promise.reject(new InboxUnavailable('too many deliveries are waiting for the database'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ event, since: Date.now(), span, resolve, reject });
      this.#waitingBytes += size(event);
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#running >= this.#options.concurrency) return;
    const batch = this.#waiting.splice(0, BATCH);
    if (batch.length === 0) return;
    for (const { event } of batch) this.#waitingBytes -= size(event);
    this.#running += 1;
    // The statement of many belongs to the trace of the first.
    runIn(batch[0]?.span, () => this.#store(batch)).finally(() => {
      this.#running -= 1;
      this.#pump();
    });
  }

  async #store(batch: Waiting[]): Promise<void> {
    try {
      const fresh = await this.#enqueue(batch);
      const repeats = batch.map(({ event }) => event).filter((event) => !fresh.has(event.eventId));
      const known = repeats.length > 0 ? await findStored(this.#pool, repeats) : new Map();
      // The first was done and gave up its key between our two statements: then this is a new event after all.
      const unanswered = batch.filter((waiting) => !this.#answer(waiting, fresh, known));
      if (unanswered.length > 0) await this.#store(unanswered);
    } catch (error) {
      await this.#storeEach(batch, error as Error);
    }
  }

  /** False when the delivery is a repeat of one that is not to be found. */
  #answer({ event, resolve }: Waiting, fresh: Set<string>, known: Map<string, string>): boolean {
    const eventId = fresh.has(event.eventId) ? event.eventId : known.get(event.eventId);
    if (!eventId) return false;
    // An id of ours that was there already is our own commit whose answer was lost: not a repeat.
    const status = event.quarantineReason === null ? 'queued' : 'quarantined';
    resolve({ eventId, duplicate: eventId !== event.eventId, status });
    return true;
  }

  /** While the connection is lost the outcome is unknown. The same ids again tell: what is there is not stored twice. */
  async #enqueue(batch: Waiting[]): Promise<Set<string>> {
    for (;;) {
      try {
        return await enqueue(
          this.#pool,
          batch.map(({ event }) => event),
        );
      } catch (error) {
        const patienceMs = isOutOfConnections(error) ? CROWDED_MS : this.#options.timeoutMs;
        if (!isPassing(error) || Date.now() - (batch[0]?.since ?? 0) > patienceMs) throw error;
        this.#log.warn({ component: 'inbox', events: batch.length, error }, 'storing deliveries failed, trying again');
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }

  /** One delivery that PostgreSQL refuses must not take its neighbours with it. */
  async #storeEach(batch: Waiting[], error: Error): Promise<void> {
    if (!blamesTheRow(error)) return this.#refuse([...batch, ...this.#takeExpired()], error);
    const [only] = batch;
    if (batch.length > 1) for (const waiting of batch) await this.#store([waiting]);
    else if (only) await this.#quarantine(only, error);
  }

  #refuse(batch: Waiting[], cause: Error): void {
    for (const { reject } of batch) reject(new InboxUnavailable('the database is not available', { cause }));
  }

  /** Those that waited their time behind a batch which just failed need not wait for a failure of their own. */
  #takeExpired(): Waiting[] {
    const firstFresh = this.#waiting.findIndex(({ since }) => Date.now() - since < this.#options.timeoutMs);
    const expired = this.#waiting.splice(0, firstFresh === -1 ? this.#waiting.length : firstFresh);
    for (const { event } of expired) this.#waitingBytes -= size(event);
    return expired;
  }

  async #quarantine(waiting: Waiting, error: Error): Promise<void> {
    this.#log.error({ component: 'inbox', event_id: waiting.event.eventId, error }, 'PostgreSQL refused a delivery');
    const alreadyQuarantined = waiting.event.quarantineReason !== null;
    if (alreadyQuarantined)
      return waiting.reject(new InboxUnavailable('the delivery could not be stored', { cause: error }));
    const rawBody = waiting.event.rawBody ?? waiting.event.record;
    const quarantineReason = 'PostgreSQL cannot store this record';
    await this.#store([{ ...waiting, event: { ...waiting.event, record: null, rawBody, quarantineReason } }]);
  }
}

/** Worth another try: nothing was stored, or the same ids tell what was. */
function isPassing(error: unknown): boolean {
  return isDatabaseAway(error) || isContention(error) || isServerUnableToWrite(error);
}

const size = (event: Enqueued) => (event.record?.length ?? 0) + (event.rawBody?.length ?? 0);

function toEnqueued({ parsed, body, contentType, method, path, userAgent, ip }: Arrival): Enqueued {
  const { organizationId, module, action, entityId } = parsed.kind === 'delivery' ? parsed.delivery : parsed;
  // Only what is unusual: this is stored with every event. README tells users to take /upsert.
  const base = `/webhooks/zoho-books/${organizationId}/${module}`;
  const unusual = {
    ...(![`${base}/upsert`, `${base}/${action}`].includes(path) && { path }),
    ...(method !== 'POST' && { method }),
    ...(contentType !== 'application/json' && { content_type: contentType }),
  };
  const request = { ip, userAgent: userAgent || null, request: Object.keys(unusual).length > 0 ? unusual : null };
  if (parsed.kind === 'delivery') return { ...fromDelivery(parsed.delivery, body), ...request };
  return {
    eventId: newEventId(),
    dedupeKey: dedupeKey(null, organizationId, module, action, body),
    versioned: false,
    version: null,
    source: 'webhook',
    organizationId,
    module,
    action,
    entityId,
    eventType: `${module ?? 'unknown'}.${action ?? 'received'}`,
    quarantineReason: parsed.reason,
    record: null,
    rawBody: body,
    ...request,
  };
}

/** An event made of a delivery that was understood. */
export function fromDelivery(delivery: Delivery, body: Buffer): Omit<Enqueued, 'ip' | 'userAgent' | 'request'> {
  const record = Buffer.from(delivery.record);
  const { organizationId, module, action, entityId, eventType, version, versioned } = delivery;
  // The bytes as received are worth keeping where they say more than the record with a wrapper around it.
  const saysMore = delivery.sanitised || body.length > record.length + module.length + WRAPPER_BYTES;
  return {
    eventId: newEventId(),
    dedupeKey: dedupeKey(versioned ? version : null, organizationId, module, action, body),
    versioned,
    version,
    source: 'webhook',
    organizationId,
    module,
    action,
    entityId,
    eventType,
    quarantineReason: null,
    record,
    rawBody: saysMore ? body : null,
  };
}

const WRAPPER_BYTES = 24;

/**
 * Same organization, module, action and bytes give the same key. It begins with the record's time, so that keys of
 * today stand together in the index; a purely random key would touch a page of its own for every event. Written as
 * PostgreSQL prints a uuid, because the keys it returns are compared with ours.
 */
function dedupeKey(version: Date | null, ...parts: (string | Buffer | null)[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part ?? '').update('\0');
  const hex = hash.digest('hex');
  const seconds = version ? Math.floor(version.getTime() / 1000) : 0;
  const key = (seconds >>> 0).toString(16).padStart(8, '0') + hex.slice(0, 24);
  return key.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
