import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { type RetryResult, retryDeadLetter } from '../queue/dead-letter.ts';
import { type Delivery, parseDelivery } from './parse.ts';
import { splitWebhookPath } from './webhook-path.ts';

/**
 * Sends an open dead letter through the queue again. A quarantined one is parsed again first, by today's code: if it is
 * understood now, its event becomes what it should have been; if not, it will come back as the dead letter it was.
 * Give it a transaction.
 */
export async function retry(trx: Kysely<Schema>, id: string, defaultOrganization: string): Promise<RetryResult> {
  await parseAgain(trx, id, defaultOrganization);
  return retryDeadLetter(trx, id);
}

/** Parses a dead letter whose delivery was not understood by today's code. Give it a transaction. */
export async function parseAgain(trx: Kysely<Schema>, id: string, defaultOrganization: string): Promise<void> {
  const stored = await lockQuarantined(trx, id);
  const parsed = stored && parseDelivery({ ...stored, ...splitWebhookPath(stored.path), defaultOrganization });
  if (parsed?.kind === 'delivery') await becomes(trx, id, parsed.delivery);
}

type Stored = { body: Buffer; contentType: string; method: string; path: string };

/** What was received, of an open dead letter that is in quarantine; locked, so that of two retries one parses. */
async function lockQuarantined(trx: Kysely<Schema>, id: string): Promise<Stored | undefined> {
  const { rows } = await sql<Stored>`
    select p.raw_body as body, coalesce(p.request ->> 'content_type', 'application/json') as "contentType",
      coalesce(p.request ->> 'method', 'POST') as method,
      coalesce(p.request ->> 'path', concat_ws('/', '/webhooks/zoho-books', i.organization_id, i.module, i.action)) as path
    from tds_sync_queue q join tds_inbox_events i on i.event_id = q.id join tds_inbox_payloads p on p.event_id = q.id
    where q.id = ${id} and q.status = 'dead_letter' and i.quarantine_reason is not null and p.raw_body is not null
    for update of q`.execute(trx);
  return rows[0];
}

/** The event's rows as they would have been, had it been understood at once. Its place in order of arrival stays. */
async function becomes(trx: Kysely<Schema>, id: string, delivery: Delivery): Promise<void> {
  const { organizationId, module, entityId, action, eventType, version, versioned, record } = delivery;
  const key = sql`tds_entity_key(${organizationId}, ${module}, ${entityId}, ${id})`;
  await sql`select pg_advisory_xact_lock(${key})`.execute(trx); // as queue/enqueue.ts: whoever writes into an entity's line
  await sql`
    update tds_inbox_events set organization_id = ${organizationId}, module = ${module}, action = ${action},
      entity_id = ${entityId}, event_type = ${eventType}, quarantine_reason = null where event_id = ${id}`.execute(trx);
  await sql`
    update tds_inbox_payloads set payload = ${record}::json, version = least(${version}::timestamptz, now())
    where event_id = ${id}`.execute(trx);
  await sql`
    update tds_sync_queue set organization_id = ${organizationId}, event_type = ${eventType}, entity_id = ${entityId},
      entity_key = ${key}, versioned = ${versioned}, payload_bytes = ${Buffer.byteLength(record)}
    where id = ${id}`.execute(trx);
}
