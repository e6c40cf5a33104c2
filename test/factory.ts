/** Makes rows, so that a test names only what it is about. */
import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../src/db/database.ts';
import type { QueuedEvent } from '../src/handlers/handler.ts';

export type InboxEvent = {
  /** An object, or JSON text where digits matter. */
  record: Record<string, unknown> | string;
  entityId: string;
  organizationId?: string;
  module?: string;
  action?: string;
  /** Null: the record has no version. */
  version?: string | Date | null;
  receivedAt?: string | Date;
  source?: 'webhook' | 'pull';
};

let arrivals = 0;

/** Stores an event in the inbox, as a webhook would, and returns what a handler's batch sees of it. */
export async function inboxEvent(db: Database, event: InboxEvent): Promise<QueuedEvent> {
  const { organizationId = '60000000001', module = 'invoice', action = 'updated', version = null } = event;
  const eventId = randomUUID();
  const record = typeof event.record === 'string' ? event.record : JSON.stringify(event.record);
  await sql`
    with event as (
      insert into tds_inbox_events
        (event_id, organization_id, module, action, entity_id, event_type, received_at)
      values (${eventId}, ${organizationId}, ${module}, ${action}, ${event.entityId},
        ${`${module}.${action}`}, ${event.receivedAt ?? sql`clock_timestamp()`})
    )
    insert into tds_inbox_payloads (event_id, source, version, payload)
    values (${eventId}, ${event.source ?? 'webhook'}, ${version}, ${record}::json)`.execute(db);
  arrivals += 1;
  return { id: eventId, arrival: String(arrivals), eventType: `${module}.${action}` } as QueuedEvent;
}
