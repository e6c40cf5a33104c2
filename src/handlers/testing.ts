/** For the tests of handlers: `import { handlerEvent, runHandler } from 'tds-core/testing'`. */
import { randomUUID } from 'node:crypto';
import type { Transaction } from 'kysely';
import { openDatabase } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { createLogger } from '../log.ts';
import { DEFAULT_TIMEOUT_MS, type HandlerDefinition, type HandlerEvent } from './handler.ts';

/** What an event is made of; the payload is given as an object. */
export type EventFields = Partial<Omit<HandlerEvent, 'module' | 'action' | 'payload' | 'payloadText'>> & {
  payload?: object;
};

/** An event as a handler gets it: an update of an invoice unless the fields say otherwise. */
export function handlerEvent(fields: EventFields = {}): HandlerEvent {
  const { payload = { invoice_id: '982000000567114' }, ...given } = fields;
  const id = given.id ?? randomUUID();
  const eventType = given.eventType ?? 'invoice.updated';
  const [module = '', action = ''] = eventType.split('.');
  return {
    ...{ id, organizationId: '10234695', eventType, module, action, entityId: '982000000567114' },
    ...{ version: new Date(), receivedAt: new Date(), attempt: 1, source: 'webhook' },
    ...{ payload, payloadText: JSON.stringify(payload), idempotencyKey: `tds-${id}` },
    ...given,
  };
}

export type RunOptions = {
  /** A database with the tables of TDS Core (npm run migrate) and your own. */
  databaseUrl: string;
  /** Puts in place what the handler reads. */
  prepare?: (trx: Transaction<Schema>) => Promise<unknown>;
  /** Looks at what the handler has written, before it is rolled back. */
  inspect?: (trx: Transaction<Schema>) => Promise<unknown>;
};

/**
 * Runs a handler on these events in one transaction, as the worker would, and rolls back at the end, so that a test
 * leaves nothing behind. The mirror does not run: what the handler reads from it is for `prepare` to write.
 * @throws what the handler throws
 */
export async function runHandler(
  handler: HandlerDefinition,
  events: HandlerEvent[],
  { databaseUrl, prepare, inspect }: RunOptions,
): Promise<void> {
  const { db, close } = openDatabase({ url: databaseUrl, max: 1, applicationName: 'tds-handler-test' });
  const trx = await db.startTransaction().execute();
  const signal = AbortSignal.timeout(handler.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const context = { trx, signal, log: createLogger('tds-handler-test', 'silent') };
  try {
    await prepare?.(trx);
    if (handler.handleBatch) await handler.handleBatch(events, context);
    else for (const event of events) await handler.handle?.(event, context);
    await inspect?.(trx);
  } finally {
    await trx.rollback().execute();
    await close();
  }
}
