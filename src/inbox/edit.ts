import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { parseLossless } from '../lossless.ts';
import { isDeadLetter, putAway } from '../queue/discard.ts';
import { type Enqueued, enqueueWithin } from '../queue/enqueue.ts';
import { lockStatus } from '../queue/replay.ts';
import { type Difference, differences } from './difference.ts';
import { type Delivery, parseDelivery } from './parse.ts';
import { fromDelivery } from './store.ts';
import { newEventId } from './uuid.ts';

export type Edit = {
  /** The record as it should have been, parsed by parseLossless. */
  record: object;
  /** Where it should have been delivered to; default: as the original was. */
  organizationId?: string | undefined;
  module?: string | undefined;
  action?: string | undefined;
  author: string;
  reason: string;
};

export type EditResult =
  | { outcome: 'edited'; eventId: string; difference: Difference[] }
  | { outcome: 'not_found' }
  | { outcome: 'not_open' }
  | { outcome: 'quarantined' }
  /** Today's code does not understand the edited record either. */
  | { outcome: 'unusable'; reason: string };

/**
 * Makes a new event of an open dead letter, with a record that an operator edited: parsed as a delivery is, and last in
 * the order of its entity, because it arrives now. The original keeps its bytes and leaves the queue, closed for good.
 * Of any number of edits, retries and discards at once one succeeds. Give it a transaction.
 */
export async function editDeadLetter(
  trx: Transaction<Schema>,
  id: string,
  edit: Edit,
  defaultOrganization: string,
): Promise<EditResult> {
  const status = await lockStatus(trx, id);
  if (status === undefined && !(await isDeadLetter(trx, id))) return { outcome: 'not_found' };
  const original = status === 'dead_letter' ? await readOriginal(trx, id) : undefined;
  if (!original) return { outcome: 'not_open' };
  if (original.quarantined_by !== null) return { outcome: 'quarantined' };
  const parsed = parseEdited(original, edit, defaultOrganization);
  if (parsed.kind === 'check') return { outcome: 'unusable', reason: 'the record is empty' };
  if (parsed.kind === 'quarantine') return { outcome: 'unusable', reason: parsed.reason };
  const difference = differenceOf(original, parsed.delivery);
  const eventId = newEventId();
  await enqueueWithin(trx, [newEvent(eventId, parsed.delivery)]);
  await trx
    .insertInto('tds_event_edits')
    .values({
      ...{ event_id: eventId, original_id: id, author: edit.author, reason: edit.reason },
      difference: JSON.stringify(difference),
    })
    .execute();
  await putAway(trx, [id], edit.author, edit.reason);
  return { outcome: 'edited', eventId, difference };
}

type Original = {
  organization_id: string;
  module: string | null;
  action: string | null;
  event_type: string;
  entity_id: string | null;
  quarantined_by: string | null;
  /** Its record, or its body where that was not understood, as text; null when it is no text. */
  text: string | null;
};

async function readOriginal(trx: Kysely<Schema>, id: string): Promise<Original | undefined> {
  const { rows } = await sql<Original & { raw_body: Buffer | null }>`
    select d.organization_id, i.module, i.action, d.event_type, d.entity_id, d.quarantined_by,
      coalesce(p.payload, d.payload)::text as text, coalesce(p.raw_body, d.raw_body) as raw_body
    from tds_dead_letter_queue d
      left join tds_inbox_events i on i.event_id = d.id left join tds_inbox_payloads p on p.event_id = d.id
    where d.id = ${id} and d.resolved_at is null`.execute(trx);
  const [row] = rows;
  return row && { ...row, text: row.text ?? row.raw_body?.toString('utf8') ?? null };
}

function parseEdited(original: Original, edit: Edit, defaultOrganization: string) {
  return parseDelivery({
    ...{ body: Buffer.from(JSON.stringify(edit.record)), contentType: 'application/json', method: 'POST' },
    organizationId: edit.organizationId ?? original.organization_id,
    ...present('module', edit.module ?? original.module),
    ...present('action', edit.action ?? original.action),
    defaultOrganization,
  });
}

function present<K extends string>(key: K, value: string | null): { [key in K]?: string } {
  return value === null ? {} : ({ [key]: value } as { [key in K]: string });
}

function newEvent(eventId: string, delivery: Delivery): Enqueued {
  const arrived = fromDelivery(delivery, Buffer.from(delivery.record));
  return { ...arrived, eventId, dedupeKey: null, source: 'operator', ip: null, userAgent: null, request: null };
}

/** Of the record, and of what it was taken for. */
function differenceOf(original: Original, delivery: Delivery): Difference[] {
  const { organizationId: organization_id, eventType: event_type, entityId: entity_id } = delivery;
  const { text } = original;
  const taken = Object.entries({ organization_id, event_type, entity_id }).flatMap(([path, after]) => {
    const before = original[path as 'event_type'];
    return before === after ? [] : [{ path, before, after }];
  });
  return [...taken, ...differences(text === null ? null : parsedOr(text), parseLossless(delivery.record))];
}

/** A body that is no JSON differs as a text. */
function parsedOr(text: string): unknown {
  try {
    return parseLossless(text);
  } catch {
    return text;
  }
}
