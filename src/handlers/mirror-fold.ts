import { type RawBuilder, sql } from 'kysely';

/** `in_part`: after the event its record is unknown, known in part, out of date, or told of although it is deleted. */
export type Folded = { queue_id: string; outcome: MirrorOutcome; in_part: boolean };

export type MirrorOutcome = 'applied' | 'partial' | 'unchanged' | 'stale' | 'superseded' | 'hint';

/**
 * Judges what came and writes what follows from it into books_records, in one statement; the records never pass through
 * Node. `incoming` is a query with one row per event:
 *
 * queue_id uuid, arrival bigint (unique per entity), event_id, source, module, entity_id, organization_id, received_at,
 * deleted boolean, version timestamptz, record jsonb, complete boolean (null: nobody says what a full record of the
 * module has, so that the stored record decides), pointer boolean (nothing but ids and times).
 *
 * Events of one entity are folded in order of arrival, each against the row its predecessor would have left, so that
 * the result does not depend on how events happen to be cut into sets. `distinct on` the newest version would be
 * simpler, but loses a delete behind a record that Zoho's clock dates into our future.
 *
 * `offset 0` keeps the planner from merging a subquery, which would compute the verdict once for each column that asks.
 *
 * The rows are written in the order of the primary key, so that two transactions never wait for each other in a
 * circle. The versions are compared once more at that moment: a row committed since our snapshot may be newer.
 */
export function foldInto(incoming: RawBuilder<unknown>): RawBuilder<Folded> {
  return sql`
    with recursive incoming as materialized (
      select *, lag(queue_id) over (partition by module, entity_id, organization_id order by arrival) as previous_id
      from (${incoming}) as given
    ),
    later as materialized (
      select * from incoming where previous_id is not null
    ),
    folded as (
      select ${NEXT_ROW}
      from incoming left join books_records as stored using (module, entity_id, organization_id) ${JUDGED}
      where incoming.previous_id is null
      union all
      select ${NEXT_ROW}
      from folded as stored join later as incoming on incoming.previous_id = stored.queue_id ${JUDGED}
    ),
    winner as (
      select distinct on (module, entity_id, organization_id) * from folded
      where outcome in ('applied', 'partial')
      order by module, entity_id, organization_id, arrival desc
    ),
    written as (
      insert into books_records as stored (module, entity_id, organization_id, version, received_at, deleted_at,
        record, complete, stale_since, stale_version, stale_received_at, event_id, source)
      select module, entity_id, organization_id, version, received_at, deleted_at,
        record, complete, stale_since, stale_version, stale_received_at, event_id, source
      from winner order by module, entity_id, organization_id
      on conflict (module, entity_id, organization_id) do update
      set version = excluded.version, received_at = excluded.received_at, deleted_at = excluded.deleted_at,
        record = excluded.record, complete = excluded.complete, stale_since = excluded.stale_since,
        stale_version = excluded.stale_version, stale_received_at = excluded.stale_received_at,
        event_id = excluded.event_id, source = excluded.source, updated_at = now()
      where stored.version is null or excluded.version >= stored.version or excluded.complete > stored.complete
        or (excluded.source = 'pull' and excluded.deleted_at is null and stored.deleted_at is not null)
      returning module, entity_id, organization_id
    )
    select queue_id, case
        when outcome <> 'applied' then outcome
        when written.module is null then 'superseded'
        when arrival < max(arrival) filter (where outcome = 'applied')
          over (partition by module, entity_id, organization_id) then 'superseded'
        else 'applied'
      end as outcome,
      stale_since is not null or outcome = 'hint' and (record is null or deleted_at is not null) as in_part
    from folded left join written using (module, entity_id, organization_id)`;
}

/**
 * What the verdict asks more than once. `is_full`: of a module that we do not know, a record is full when it has at least
 * half of the stored fields. `is_news`: it may know of a state that the row does not. `makes_current`: no partial body
 * told of anything that this record could lack. `merged`: of two partial bodies the newer one's fields and what only
 * the older one has, so that no field is lost; a body without a version counts as older than one with a version.
 */
const FACTS = sql`
  select incoming.version is not null and coalesce(incoming.complete, (
      select count(*) <= 2 * count(*) filter (where incoming.record ? field)
      from jsonb_object_keys(stored.record) as field)) as is_full,
    coalesce(incoming.version > stored.version, true) as is_news,
    coalesce(incoming.version >= stored.stale_version, true)
      and coalesce(incoming.received_at > stored.stale_received_at, true) as makes_current,
    case when stored.complete then null
      when stored.record is null then incoming.record
      when case
          when incoming.version is not distinct from stored.version then incoming.received_at >= stored.received_at
          else coalesce(incoming.version > stored.version, stored.version is null)
        end then stored.record || incoming.record
      else incoming.record || stored.record
    end as merged
  offset 0`;

/** The table of `mirror`, line by line. `stored.record` is null when there is no row: the column itself is not null. */
const VERDICT = sql`
  select case
    when pointer and (stored.record is null or stored.deleted_at is not null or not is_news) then 'hint'
    when pointer then 'partial'
    when stored.record is null then 'applied'

    when deleted and stored.deleted_at is not null then 'unchanged'
    when deleted and greatest(stored.received_at, stored.stale_since) > incoming.received_at
      and greatest(stored.version, stored.stale_version) > incoming.version then 'stale'
    when deleted then 'applied'

    when stored.deleted_at is not null and incoming.version is null then 'hint'
    when stored.deleted_at is not null and is_full and incoming.source = 'pull'
      and incoming.received_at > stored.deleted_at then 'applied'
    when stored.deleted_at is not null and not is_news then 'stale'
    when stored.deleted_at is not null and stored.complete and not is_full then 'partial'
    when stored.deleted_at is not null then 'applied'

    when not stored.complete and (is_full or merged <> stored.record or incoming.version > stored.version) then 'applied'
    when incoming.version < stored.version then 'stale'
    when is_full and is_news then 'applied'
    when incoming.record = stored.record and stored.complete
      and not (is_full and stored.stale_since is not null and makes_current) then 'unchanged'
    when not is_full and is_news then 'partial'
    when not stored.complete then 'unchanged'
    when not is_full then 'hint'

    when incoming.source = 'pull' then 'applied'
    when not incoming.record ?& array(select jsonb_object_keys(stored.record)) then 'hint'
    when incoming.received_at < stored.received_at then 'stale'
    else 'applied'
  end as outcome
  offset 0`;

const JUDGED = sql`cross join lateral (${FACTS}) as facts cross join lateral (${VERDICT}) as verdict`;

const REPLACES = sql`(verdict.outcome = 'applied' and not deleted and is_full)`;
const MERGES = sql`(verdict.outcome = 'applied' and not deleted and not is_full)`;
const DELETES = sql`(verdict.outcome = 'applied' and deleted)`;
const MARKS = sql`(${MERGES} or verdict.outcome = 'partial')`;
const BECOMES_CURRENT = sql`(${DELETES} or ${REPLACES} and makes_current)`;
/** A tombstone keeps the last record known, unless the delete brought a fuller one. */
const KEEPS_RECORD = sql`(stored.record is not null and (stored.complete or not is_full))`;

/** An event, its verdict, and the row as it stands after it. `least` and `greatest` pass over nulls. */
const NEXT_ROW = sql`
  incoming.queue_id, incoming.arrival, incoming.module, incoming.entity_id, incoming.organization_id, verdict.outcome,
  case when ${REPLACES} then incoming.version
    when ${MERGES} then greatest(incoming.version, stored.version)
    when ${DELETES} then greatest(incoming.version, stored.version, stored.stale_version)
    else stored.version end as version,
  case when ${MERGES} then greatest(incoming.received_at, stored.received_at)
    when verdict.outcome = 'applied' then incoming.received_at else stored.received_at end as received_at,
  case when ${DELETES} then incoming.received_at
    when verdict.outcome not in ('applied', 'partial') then stored.deleted_at end as deleted_at,
  case when ${REPLACES} or ${DELETES} and not ${KEEPS_RECORD} then incoming.record
    when ${MERGES} then merged else stored.record end as record,
  case when ${MERGES} then false
    when ${REPLACES} or ${DELETES} and not ${KEEPS_RECORD} then is_full else stored.complete end as complete,
  case when ${MARKS} then least(stored.stale_since, incoming.received_at)
    when not ${BECOMES_CURRENT} then stored.stale_since end as stale_since,
  case when ${MARKS} then greatest(stored.stale_version, incoming.version)
    when not ${BECOMES_CURRENT} then stored.stale_version end as stale_version,
  case when ${MARKS} and incoming.version is null then greatest(stored.stale_received_at, incoming.received_at)
    when not ${BECOMES_CURRENT} then stored.stale_received_at end as stale_received_at,
  case when verdict.outcome = 'applied' then incoming.event_id else stored.event_id end as event_id,
  case when verdict.outcome = 'applied' then incoming.source else stored.source end as source`;
