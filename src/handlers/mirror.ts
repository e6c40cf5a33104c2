import { type RawBuilder, sql } from 'kysely';
import { TaggedError } from '../errors.ts';
import type { Handler, HandlerContext, QueuedEvent } from './handler.ts';

export type MirrorOutcome = 'applied' | 'unchanged' | 'stale' | 'superseded' | 'hint';

/**
 * Keeps books_records equal to Zoho Books: the newest version of every record, and a tombstone for a deleted one.
 *
 * A record's version is its last_modified_time (else updated_time, created_time; bounded by the clock at intake). A
 * delete has no time of its own: its version is the moment it arrived, or what it deletes if that is newer.
 *
 * | event \ stored row      | none    | live                                   | tombstone            |
 * |-------------------------|---------|----------------------------------------|----------------------|
 * | record, newer version   | applied | applied, or unchanged if equal         | applied: lives again |
 * | record, equal version   |         | unchanged if equal; hint if it lacks a | stale                |
 * |                         |         | field; stale if it arrived earlier;    |                      |
 * |                         |         | else applied                           |                      |
 * | record, older version   |         | stale                                  | stale                |
 * | record without version  | applied | unchanged if equal, else hint          | hint                 |
 * | nothing but ids         | hint    | hint                                   | hint                 |
 * | delete                  | applied | applied; stale if the row arrived      | unchanged            |
 * |                         |         | later and is newer                     |                      |
 *
 * Equal versions are normal: Zoho counts in whole seconds and changes balances without a new last_modified_time. A
 * live row may therefore be replaced at an equal version, a tombstone may not: Zoho cuts a version down to the second,
 * so whatever was changed before the delete is never strictly newer than the delete's arrival.
 *
 * A hint never writes: a body with a part of the fields must not erase the others. An `applied` event that a later
 * one of its batch replaced is `superseded`.
 */
export const mirror: Handler = { name: 'mirror', eventTypes: ['*'], handleBatch };

async function handleBatch(events: QueuedEvent[], { trx }: HandlerContext): Promise<Map<string, MirrorOutcome>> {
  const { rows } = await upsertRecords(events).execute(trx);
  if (rows.length < events.length) {
    throw new TaggedError('ValidationError', 'the inbox holds no record for this event');
  }
  return new Map(rows.map((row) => [row.queue_id, row.outcome]));
}

/**
 * Judges and writes a batch in one statement; the records never pass through Node.
 *
 * Events of one entity are folded in order of arrival, each against the row its predecessor would have left, so that
 * the result does not depend on how events happen to be cut into batches. `distinct on` the newest version would be
 * simpler, but loses a delete behind a record that Zoho's clock dates into our future.
 *
 * `offset 0` keeps the planner from merging a subquery: the first would become a scan of the whole inbox (it takes 500
 * look-ups for dearer than they are), the verdict would be computed once for each column that asks for it.
 *
 * The rows are written in the order of the primary key, so that two transactions never wait for each other in a
 * circle. The versions are compared once more at that moment: a row committed since our snapshot may be newer.
 */
function upsertRecords(events: QueuedEvent[]): RawBuilder<{ queue_id: string; outcome: MirrorOutcome }> {
  return sql`
    with recursive incoming as materialized (
      select event_id as queue_id, event_id, arrival, module, entity_id, organization_id, source, received_at,
        lag(queue_id) over (partition by module, entity_id, organization_id order by arrival) as previous_id,
        case action when 'deleted' then received_at end as deleted_at,
        case action when 'deleted' then greatest(received_at, version) else version end as version,
        payload::jsonb as record
      from unnest(
        ${events.map((event) => event.id)}::uuid[],
        ${events.map((event) => event.arrival)}::bigint[]
      ) as given (event_id, arrival)
      cross join lateral (
        select module, entity_id, organization_id, source, received_at, action, version, payload
        from tds_inbox_events as event join tds_inbox_payloads using (event_id)
        where event.event_id = given.event_id and payload is not null and entity_id is not null offset 0
      ) as inbox
    ),
    later as materialized (
      select * from incoming where previous_id is not null
    ),
    folded as (
      select ${STEP}
      from incoming left join books_records as stored using (module, entity_id, organization_id)
      cross join lateral (select ${VERDICT} as outcome offset 0) as verdict
      where incoming.previous_id is null
      union all
      select ${STEP}
      from folded as stored join later as incoming on incoming.previous_id = stored.queue_id
      cross join lateral (select ${VERDICT} as outcome offset 0) as verdict
    ),
    winner as (
      select distinct on (module, entity_id, organization_id) * from folded
      where outcome = 'applied'
      order by module, entity_id, organization_id, arrival desc
    ),
    written as (
      insert into books_records as stored
        (module, entity_id, organization_id, version, received_at, deleted_at, record, event_id, source)
      select module, entity_id, organization_id, version, received_at, deleted_at, record, event_id, source
      from winner order by module, entity_id, organization_id
      on conflict (module, entity_id, organization_id) do update
      set version = excluded.version, received_at = excluded.received_at, deleted_at = excluded.deleted_at,
        record = excluded.record, event_id = excluded.event_id, source = excluded.source, updated_at = now()
      where stored.version is null or excluded.version >= stored.version
      returning event_id
    )
    select queue_id, case
        when outcome <> 'applied' then outcome
        when event_id in (select event_id from written) then 'applied'
        else 'superseded'
      end as outcome
    from folded`;
}

/**
 * Fields that only point at a record; a body without any other says nothing about it. Such a body is short: asking
 * that first spares listing the fields of every full record (2 ms of 16 per batch of 500).
 */
const POINTER = sql.lit('_id$|_time$|^(event|event_type|event_name|action|module)$');

/** The table of `mirror`, line by line. `stored.record` is null when there is no row: the column itself is not null. */
const VERDICT = sql`
  case
    when incoming.deleted_at is null and pg_column_size(incoming.record) < 1000 and not exists (
      select from jsonb_object_keys(incoming.record) as key where key !~ ${POINTER}) then 'hint'
    when stored.record is null then 'applied'

    when incoming.deleted_at is not null and stored.deleted_at is not null then 'unchanged'
    when incoming.deleted_at is not null and stored.received_at > incoming.received_at
      and stored.version > incoming.version then 'stale'
    when incoming.deleted_at is not null then 'applied'

    when stored.deleted_at is not null and incoming.version is null then 'hint'
    when stored.deleted_at is not null and incoming.version <= stored.version then 'stale'
    when stored.deleted_at is not null then 'applied'

    when incoming.version < stored.version then 'stale'
    when incoming.record = stored.record then 'unchanged'
    when incoming.version is null then 'hint'
    when incoming.version is distinct from stored.version then 'applied'
    when not incoming.record ?& array(select jsonb_object_keys(stored.record)) then 'hint'
    when incoming.received_at < stored.received_at then 'stale'
    else 'applied'
  end`;

/** An event, its verdict, and the row as it stands after it. A tombstone keeps the last record known. */
const STEP = sql`
  incoming.queue_id, incoming.arrival, incoming.event_id, incoming.source,
  incoming.module, incoming.entity_id, incoming.organization_id, verdict.outcome,
  case verdict.outcome when 'applied' then greatest(incoming.version, stored.version) else stored.version end as version,
  case verdict.outcome when 'applied' then incoming.received_at else stored.received_at end as received_at,
  case verdict.outcome when 'applied' then incoming.deleted_at else stored.deleted_at end as deleted_at,
  case when verdict.outcome = 'applied' and (incoming.deleted_at is null or stored.record is null)
    then incoming.record else stored.record end as record`;
