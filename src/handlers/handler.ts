/** What the author of a handler works with: `import { defineHandler, sql, TaggedError } from 'tds-core'`. */
import type { Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { Logger } from '../log.ts';
import type { ClaimedEvent } from '../queue/event.ts';
import type { RateLimit } from '../queue/rate-limit.ts';

export { sql } from 'kysely';
export { type ErrorTag, TaggedError } from '../errors.ts';
export { isLatest } from './is-latest.ts';

export type QueuedEvent = ClaimedEvent;

/** The part of an event that handlers see. Lease and claim belong to the worker. */
export type HandlerEvent = Pick<
  ClaimedEvent,
  | 'id'
  | 'organizationId'
  | 'eventType'
  | 'module'
  | 'action'
  | 'entityId'
  | 'version'
  | 'payload'
  | 'payloadText'
  | 'attempt'
  | 'receivedAt'
  | 'source'
  | 'idempotencyKey'
>;

export type HandlerContext = {
  /**
   * What is written through it commits together with the event's completion, or not at all. It knows the tables of
   * TDS Core; `ctx.trx.withTables<YourTables>()` adds your own.
   */
  trx: Transaction<Schema>;
  /** Aborts at the time-out, when the lease is lost and when the worker has to stop. Pass it to fetch. */
  signal: AbortSignal;
  log: Logger;
};

/**
 * What is done with an event. All handlers that match it run in one transaction, the built-in mirror first.
 * A throw fails the attempt: see `TaggedError` for how to say that another attempt is useless, or when to come back.
 */
export type Handler = {
  name: string;
  /** 'invoice.updated', 'invoice.*' or '*'. */
  eventTypes: readonly string[];
  /** Milliseconds, 1 to 86,400,000 (a day). Default 30,000. */
  timeoutMs?: number;
  /**
   * At most `max` calls in `durationMs`, of all workers together. Events beyond it wait, at no cost of an attempt. A
   * set is one call. Windows are fixed: around the end of one, twice `max` calls may come close together.
   */
  rateLimit?: RateLimit;
  /** One event at a time. */
  handle?(event: HandlerEvent, context: HandlerContext): Promise<unknown>;
  /**
   * A set at a time, in order of arrival; one transaction for all. May return an outcome per event id, such as
   * 'applied' or 'superseded', for the log. If the set fails it comes again in halves, until the culprit is alone.
   * With it, `handle` is not called.
   */
  handleBatch?(events: HandlerEvent[], context: HandlerContext): Promise<Map<string, string> | undefined>;
};

/** A handler as its file exports it: without a name it takes that of the file. */
export type HandlerDefinition = Omit<Handler, 'name'> & { name?: string };

/** Returns the handler unchanged; it is there for the types. `export default defineHandler({ … })`. */
export function defineHandler(handler: HandlerDefinition): HandlerDefinition {
  return handler;
}

export const DEFAULT_TIMEOUT_MS = 30_000;
