import { type RawBuilder, sql } from 'kysely';
import { TaggedError } from '../errors.ts';
import { booksModules, POINTER_FIELD } from '../zoho/modules/modules.ts';
import type { Handler, HandlerContext, QueuedEvent } from './handler.ts';
import { type Folded, foldInto, type MirrorOutcome } from './mirror-fold.ts';
import { namesOthers, wantRefetches } from './mirror-wants.ts';

/**
 * Keeps books_records equal to Zoho Books: the newest full record known, and a tombstone for a deleted one.
 *
 * A record's version is its last_modified_time (else updated_time, created_time; bounded by the clock at intake). A
 * delete has no time of its own: its version is the moment it arrived, or what it deletes if that is newer.
 *
 * A record is full when it has a version and, unless it was fetched from the API (source `pull`), the fields that
 * `zoho/modules/modules.ts` names for its module; any other body is partial. A partial body never replaces a full record,
 * whatever its version: it marks the row (`partial`), which is
 * stale from that moment until a full record comes that is at least as new as every partial one (and was received after
 * those without a version). While no full record has come, the row holds the fields of all partial ones merged, the
 * newest value of each, with `complete` false; it counts as stale too.
 *
 * | event \ stored row           | none    | live, complete                  | live, incomplete  | tombstone         |
 * |------------------------------|---------|---------------------------------|-------------------|-------------------|
 * | full record, newer version   | applied | applied                         | applied: replaces | applied: lives    |
 * |                              |         |                                 |                   | again             |
 * | full record, equal version   |         | unchanged if equal; hint if it  | applied: replaces | stale             |
 * |                              |         | lacks a field; stale if it      |                   |                   |
 * |                              |         | arrived earlier; else applied   |                   |                   |
 * | full record, older version   |         | stale                           | applied: replaces | stale             |
 * | partial body, newer version  | applied | partial                         | applied: merged   | lives again, the  |
 * |                              |         |                                 |                   | rest as if live   |
 * | partial body, equal version  |         | unchanged if equal, else hint   | applied: merged;  | stale             |
 * |                              |         |                                 | else unchanged    |                   |
 * | partial body, older version  |         | stale                           | applied if it has | stale             |
 * |                              |         |                                 | a new field, else |                   |
 * |                              |         |                                 | stale             |                   |
 * | body without a version       | applied | unchanged if equal, else        | applied if it has | hint              |
 * |                              |         | partial                         | a new field, else |                   |
 * |                              |         |                                 | partial           |                   |
 * | nothing but ids and times    | hint    | partial; hint if its version is not newer           | hint              |
 * | delete                       | applied | applied; stale if the row arrived later and is      | unchanged         |
 * |                              |         | newer                                               |                   |
 *
 * Equal versions are normal: Zoho counts in whole seconds and changes balances without a new last_modified_time. A
 * live row may therefore be replaced at an equal version, a tombstone may not: Zoho cuts a version down to the second,
 * so whatever was changed before the delete is never strictly newer than the delete's arrival. A record that was fetched
 * wins at an equal version, and lives again whatever its version if it was fetched after its delete had arrived: Zoho has
 * it. A full record that makes a stale row current is applied even if it changes nothing else.
 *
 * A full record replaces an incomplete row even if it is older: a true state of the past is worth more than parts of a
 * newer one, and the row stays stale until the newer state comes in full. A hint never writes. An `applied` event that a
 * later one of its set replaced is `superseded`.
 */
export const mirror: Handler = { name: 'mirror', eventTypes: ['*'], handleBatch };

async function handleBatch(events: QueuedEvent[], { trx }: HandlerContext): Promise<Map<string, MirrorOutcome>> {
  const { rows } = await foldInto(fromInbox(events)).execute(trx);
  if (rows.length < events.length) {
    throw new TaggedError('ValidationError', 'the inbox holds no record for this event');
  }
  await wantRefetches(trx, { inPart: idsOf(rows.filter(({ in_part }) => in_part)), naming: naming(events, rows) });
  return new Map(rows.map((row) => [row.queue_id, row.outcome]));
}

const idsOf = (rows: readonly Folded[]) => rows.map(({ queue_id }) => queue_id);

/** Events that told something new and name other records. */
function naming(events: readonly QueuedEvent[], rows: readonly Folded[]): string[] {
  const names = new Set(events.filter(({ eventType }) => namesOthers(eventType)).map(({ id }) => id));
  if (names.size === 0) return [];
  return idsOf(rows.filter(({ queue_id, outcome }) => names.has(queue_id) && NEWS.has(outcome)));
}

const NEWS: ReadonlySet<MirrorOutcome> = new Set(['applied', 'partial', 'superseded']);

const FULL_RECORD_FIELDS = JSON.stringify(
  Object.fromEntries(booksModules.map(({ name, fullRecordFields }) => [name, fullRecordFields])),
);

/**
 * What the inbox holds of the events. A body of nothing but pointer fields is short: asking that first spares listing the
 * fields of every full record (2 ms of 16 per set of 500).
 *
 * `offset 0` keeps the planner from scanning the whole inbox: it takes 500 look-ups for dearer than they are.
 */
function fromInbox(events: QueuedEvent[]): RawBuilder<unknown> {
  return sql`
    select event_id as queue_id, arrival, event_id, source, module, entity_id, organization_id, received_at, deleted,
      case when deleted then greatest(received_at, version) else version end as version, record,
      source = 'pull' or record ?& fields as complete,
      not deleted and pg_column_size(record) < 1000 and not exists (
        select from jsonb_object_keys(record) as key where key !~ ${POINTER_FIELD.source}) as pointer
    from unnest(
      ${events.map((event) => event.id)}::uuid[],
      ${events.map((event) => event.arrival)}::bigint[]
    ) as given (event_id, arrival)
    cross join lateral (
      select module, entity_id, organization_id, source, received_at, action = 'deleted' as deleted, version,
        payload::jsonb as record
      from tds_inbox_events as event join tds_inbox_payloads using (event_id)
      where event.event_id = given.event_id and payload is not null and entity_id is not null offset 0
    ) as inbox
    left join (
      select key as module, array(select jsonb_array_elements_text(value)) as fields
      from jsonb_each(${FULL_RECORD_FIELDS}::jsonb)
    ) as known using (module)`;
}
