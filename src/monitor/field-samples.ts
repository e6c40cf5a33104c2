import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** So many events are looked back at, and so many records of a module at once. */
const LATEST_EVENTS = 1000;
const RECORDS_OF_MODULE = 200;
/** With fewer records known of a module, a field is not news: they may only have lacked it by chance. */
const KNOWN_RECORDS = 20;
/** Fields a module may have here: a body whose keys are ids would fill the table. */
const FIELDS_OF_MODULE = 2000;
/**
 * Looks at the complete records of the latest completed events and notes which fields they have. Samples, in one process
 * at a time: the mirror writes thousands of records a second, and a look at each would cost as much as writing it.
 */
export async function sampleFields(db: Database): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ mine: boolean }>`
      select pg_try_advisory_xact_lock(hashtext('tds_fields')) as mine`.execute(trx);
    if (rows[0]?.mine) await SAMPLE.execute(trx);
  });
}

/** A key may be anything, also an e-mail address. */
const IS_NAME = sql`field !~ '[^A-Za-z0-9_.-]' and length(field) <= 100`;

/** The record's keys, and those of its custom fields. */
const FIELDS = sql`
  select r.module, r.entity_id, f.key as field, f.value from records r cross join lateral jsonb_each(r.record) f
  union all
  select r.module, r.entity_id, 'custom_field_hash.' || f.key, f.value from records r cross join lateral jsonb_each(
    case jsonb_typeof(r.record -> 'custom_field_hash') when 'object' then r.record -> 'custom_field_hash' else '{}' end) f`;

/**
 * The types of the columns that fields of a module become in its view: one look-up per value, where a join took seconds.
 * `offset 0`: a view's definition is printed once, not for each of its columns.
 */
const COLUMNS = sql`
  select v.module, jsonb_object_agg(c.attname, format_type(c.atttypid, null)) as types
  from (select oid, substring(pg_get_viewdef(oid) from 'module = ''([a-z]+)''') as module from pg_class
        where relnamespace = 'public'::regnamespace and relkind = 'v' and relname like 'books\\_%'
          and relname <> 'books_invoice_lines' offset 0) v
    join pg_attribute c on c.attrelid = v.oid
  where c.atttypid in ('numeric'::regtype, 'date'::regtype, 'boolean'::regtype, 'timestamptz'::regtype, 'jsonb'::regtype)
  group by 1`;

/** Whether the record has text where the view has null: the casts are the view's own. */
const UNREADABLE: RawBuilder<boolean> = sql`(case when jsonb_typeof(f.value) in ('null', 'object', 'array') then false when btrim(f.value #>> '{}') = '' then false
  else case c.types ->> f.field
  when 'numeric' then jsonb_typeof(f.value) <> 'number' and books_numeric(f.value #>> '{}') is null
  when 'date' then books_date(f.value #>> '{}') is null
  when 'boolean' then books_boolean(f.value #>> '{}') is null
  when 'timestamp with time zone' then books_time(f.value #>> '{}') is null
  when 'jsonb' then true
  else false end end)`;

const SAMPLE = sql`
  with latest as materialized (
    select q.organization_id, split_part(q.event_type, '.', 1) as module, q.entity_id, max(q.queued_at) as queued_at
    from (select * from tds_sync_queue order by queued_at desc limit ${LATEST_EVENTS}) q
    where q.status = 'completed' and q.entity_id is not null
    group by 1, 2, 3),
  fresh as (
    select l.*, row_number() over (partition by l.module order by l.queued_at desc) as place
    from latest l left join tds_field_samples s on s.module = l.module
    where l.queued_at > coalesce(s.last_queued_at, '-infinity')),
  records as materialized (
    select r.module, r.entity_id, r.record, l.queued_at from fresh l cross join lateral (
      select module, entity_id, record from books_records
      where module = l.module and entity_id = l.entity_id and organization_id = l.organization_id
        and complete and deleted_at is null offset 0) r
    where l.place <= ${RECORDS_OF_MODULE}),
  counts as materialized (
    select r.module, count(*) as records, max(queued_at) as queued_at,
      coalesce((select s.records from tds_field_samples s where s.module = r.module), 0) as known,
      (select count(*) from tds_fields t where t.module = r.module) as fields
    from records r group by r.module),
  columns as materialized (${COLUMNS}),
  judged as (
    select f.module, f.field, f.entity_id, ${UNREADABLE} as is_unreadable
    from (${FIELDS}) f left join columns c on c.module = f.module offset 0),
  found as materialized (
    select module, field, count(*) as seen, count(*) filter (where is_unreadable) as unreadable,
      max(entity_id) filter (where is_unreadable) as entity_id
    from judged group by module, field having ${IS_NAME}),
  listed as (
    select f.*, k.field is not null as is_known,
      row_number() over (partition by f.module, k.field is null order by f.field) as place
    from found f left join tds_fields k on k.module = f.module and k.field = f.field),
  sampled as (
    insert into tds_field_samples as s (module, records, last_queued_at)
    select module, records, queued_at from counts order by module
    on conflict (module) do update set records = s.records + excluded.records, last_queued_at = excluded.last_queued_at),
  missing as (
    update tds_fields t set missed = t.missed + c.records from counts c
    where t.module = c.module and not exists (select from found f where f.module = t.module and f.field = t.field))
  insert into tds_fields as t (module, field, new_since, seen, offered, unreadable, unreadable_at, unreadable_entity_id)
  select f.module, f.field, case when c.known >= ${KNOWN_RECORDS} then now() end, f.seen, c.records, f.unreadable,
    case when f.unreadable > 0 then now() end, f.entity_id
  from listed f join counts c on c.module = f.module
  where f.is_known or c.fields + f.place <= ${FIELDS_OF_MODULE} order by f.module, f.field
  on conflict (module, field) do update set last_seen_at = now(), seen = t.seen + excluded.seen,
    offered = t.offered + t.missed + excluded.offered, missed = 0, unreadable = t.unreadable + excluded.unreadable,
    unreadable_at = coalesce(excluded.unreadable_at, t.unreadable_at),
    unreadable_entity_id = coalesce(excluded.unreadable_entity_id, t.unreadable_entity_id)`;
