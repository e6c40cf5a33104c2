import { type Kysely, sql } from 'kysely';

/**
 * What the mirror was, and what changed in it. Triggers on books_records keep both, so that no writer can forget it, a
 * statement typed in psql included.
 *
 * History: `books_past_records` has the versions that were replaced or deleted; the one that stands is in books_records
 * alone, so that the first load of a mirror writes no history. `books_record_versions` shows both.
 *
 * Changes: `books_changes` has one row per record that ever was. A writer leaves its `change_no` empty; whoever reads the
 * feed numbers the committed rows first (`books_number_changes`), one reader at a time. So no number is handed out
 * before a lower one is committed, however transactions overlap, and no writer waits for another.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [VERSIONS, CHANGES, TRIGGERS, NUMBERS, VERSION_VIEWS, ALWAYS]) {
    await sql.raw(statements).execute(db);
  }
}

const KEY = 'module, entity_id, organization_id';
const KEPT = 'version, deleted_at, complete, stale_since, received_at, event_id, source, record';

// Without a default for the rows that are there, which would write the whole table anew: of them updated_at tells.
// No index on a changing column: see 0002.
const VERSIONS = `
alter table books_records add column valid_from timestamptz;
alter table books_records alter column valid_from set default clock_timestamp();
comment on column books_records.valid_from is
  'since when this version, deletion or completeness of the record stands here; null: since updated_at, or before that';

create table books_past_records (
  organization_id text collate "C" not null,
  module text collate "C" not null,
  entity_id text collate "C" not null,
  valid_from timestamptz not null,
  valid_to timestamptz not null,
  version timestamptz,
  deleted_at timestamptz,
  complete boolean not null,
  stale_since timestamptz,
  received_at timestamptz not null,
  event_id uuid,
  source text not null,
  record jsonb not null,
  check (valid_to >= valid_from)
);
create index books_past_records_of_entity on books_past_records (${KEY}, valid_from);
create index books_past_records_ended on books_past_records (valid_to);
comment on table books_past_records is
  'what stood in books_records until valid_to; books_record_versions has the versions that stand as well';
comment on column books_past_records.organization_id is 'organization in Zoho Books';
comment on column books_past_records.module is 'canonical singular name, as in books_records';
comment on column books_past_records.entity_id is 'id in Zoho Books';
comment on column books_past_records.valid_from is 'when this version came into books_records';
comment on column books_past_records.valid_to is 'when it was replaced, or its row deleted';
comment on column books_past_records.version is 'last_modified_time of this version';
comment on column books_past_records.deleted_at is 'when we learned that the record is deleted; null while it was not';
comment on column books_past_records.complete is 'false when no full record had arrived';
comment on column books_past_records.stale_since is 'since when a newer state was known to exist';
comment on column books_past_records.received_at is 'when the event that wrote this version arrived';
comment on column books_past_records.event_id is 'the tds_inbox_events row that wrote this version';
comment on column books_past_records.source is 'webhook or pull';
comment on column books_past_records.record is 'the record as Zoho sent it, every digit kept';

create table books_history_days (
  days integer not null default 90 check (days >= 0),
  only_row boolean primary key default true check (only_row)
);
insert into books_history_days default values;
comment on table books_history_days is 'HISTORY_DAYS of the worker that started last';
comment on column books_history_days.days is 'how long past versions are kept; 0: none is written';
comment on column books_history_days.only_row is 'there is one row';
`;

// The index serves pages of the feed and, because empty numbers stand in it too, those who number.
const CHANGES = `
create table books_changes (
  organization_id text collate "C" not null,
  module text collate "C" not null,
  entity_id text collate "C" not null,
  change_no bigint,
  primary key (${KEY})
) with (autovacuum_vacuum_scale_factor = 0.02);
create unique index books_changes_in_order on books_changes (organization_id, module, change_no);
comment on table books_changes is 'one row per record of books_records, and per record that was deleted from it';
comment on column books_changes.organization_id is 'organization in Zoho Books';
comment on column books_changes.module is 'canonical singular name, as in books_records';
comment on column books_changes.entity_id is 'id in Zoho Books';
comment on column books_changes.change_no is 'place of its last change in the feed; null until somebody reads the feed';
insert into books_changes (${KEY}) select ${KEY} from books_records;

create table books_change_counter (
  last_no bigint not null default 0,
  only_row boolean primary key default true check (only_row)
);
insert into books_change_counter default values;
comment on table books_change_counter is 'its row is locked by whoever numbers changes';
comment on column books_change_counter.last_no is 'the last change_no that was given';
comment on column books_change_counter.only_row is 'there is one row';
`;

// A row whose number is empty already is locked all the same: it cannot be numbered before this writer has committed.
const CHANGED = (rows: string) => `
  insert into books_changes (${KEY}) select ${KEY} from ${rows}
  on conflict (${KEY}) do update set change_no = null where books_changes.change_no is not null`;

const PAST = (rows: string, validTo: string) => `
  insert into books_past_records (${KEY}, valid_from, valid_to, ${KEPT})
  select ${KEY}, least(coalesce(valid_from, updated_at), ${validTo}), ${validTo}, ${KEPT} from ${rows}`;

const KEEPS_HISTORY = '(select days > 0 from books_history_days)';

// Only hash joins: the plan is made once, for however few rows changed that time, and a loop within a loop over the
// 500 rows of a set would take 250,000 comparisons.
const STATEMENT_TRIGGER = `returns trigger language plpgsql set search_path = public
  set enable_nestloop = off set enable_mergejoin = off`;

// A version is what a reader of the record can tell from the one before; that a row became stale is none.
// clock_timestamp, not now: the version that this one replaces may have been written after our transaction began.
const TRIGGERS = `
create function books_begin_version() returns trigger language plpgsql as $$
begin
  new.valid_from := greatest(clock_timestamp(), old.valid_from);
  return new;
end $$;
create trigger books_records_begin_version before update on books_records for each row
  when (old.version is distinct from new.version or old.deleted_at is distinct from new.deleted_at
    or old.complete <> new.complete or old.organization_id <> new.organization_id or old.module <> new.module
    or old.entity_id <> new.entity_id or old.record <> new.record)
  execute function books_begin_version();

create function books_records_inserted() ${STATEMENT_TRIGGER} as $$
begin
  ${CHANGED('new_rows')};
  return null;
end $$;
create trigger books_records_inserted after insert on books_records
  referencing new table as new_rows for each statement execute function books_records_inserted();

create function books_records_updated() ${STATEMENT_TRIGGER} as $$
begin
  with changed as materialized (
    select ${KEY}, o.module is not null as was, o.valid_from, o.updated_at,
      coalesce(n.valid_from, clock_timestamp()) as valid_to, ${KEPT.replaceAll(/\w+/g, 'o.$&')}
    from old_rows o full join new_rows n using (${KEY})
    where o.module is null or n.module is null or o.valid_from is distinct from n.valid_from),
  past as (${PAST(`changed where was and ${KEEPS_HISTORY}`, 'valid_to')})
  ${CHANGED('changed')};
  return null;
end $$;
create trigger books_records_updated after update on books_records
  referencing old table as old_rows new table as new_rows for each statement execute function books_records_updated();

create function books_records_deleted() ${STATEMENT_TRIGGER} as $$
begin
  ${PAST(`old_rows where ${KEEPS_HISTORY}`, 'clock_timestamp()')};
  ${CHANGED('old_rows')};
  return null;
end $$;
create trigger books_records_deleted after delete on books_records
  referencing old table as old_rows for each statement execute function books_records_deleted();

create function books_records_truncated() ${STATEMENT_TRIGGER} as $$
begin
  ${PAST(`books_records where ${KEEPS_HISTORY}`, 'clock_timestamp()')};
  ${CHANGED('books_records')};
  return null;
end $$;
create trigger books_records_truncated before truncate on books_records
  for each statement execute function books_records_truncated();
`;

// Rows that a writer has in hand are passed by: nobody here waits for a handler, and their change comes after its commit.
// The counter's row is locked from the moment the numbers are taken until they are committed. `at_most` is of each part,
// so that a busy module does not keep back the others.
const NUMBERS = `
create function books_change_parts(only_module text, only_organization text)
returns table (organization_id text, module text) language sql stable set search_path = public
set enable_seqscan = off set enable_bitmapscan = off as $$
  with recursive part as (
    (select c.organization_id, c.module from books_changes c order by 1, 2 limit 1)
    union all
    select n.organization_id, n.module from part cross join lateral (
      select c.organization_id, c.module from books_changes c
      where (c.organization_id, c.module) > (part.organization_id, part.module) order by 1, 2 limit 1) n)
  select p.organization_id, p.module from part p
  where (only_module is null or p.module = only_module)
    and (only_organization is null or p.organization_id = only_organization)
$$;
comment on function books_change_parts is 'organizations and modules of which there are changes';

create function books_number_changes(only_module text, only_organization text, at_most integer) returns integer
language plpgsql set search_path = public set enable_seqscan = off set enable_bitmapscan = off as $$
declare
  picked books_changes[];
  changed books_changes;
  given bigint;
begin
  picked := array(
    select c.row from books_change_parts(only_module, only_organization) p cross join lateral (
      select b as row from books_changes b
      where b.organization_id = p.organization_id and b.module = p.module and b.change_no is null
      limit at_most for update skip locked) c);
  if picked = '{}' then return 0; end if;
  update books_change_counter set last_no = last_no + cardinality(picked) returning last_no - cardinality(picked) into given;
  -- Row by row: a join could be planned the wrong way round, and read all changes for each of these. Hiding the
  -- organization leaves only the primary key to look a row up by: without statistics the other index seems as good.
  foreach changed in array picked loop
    given := given + 1;
    update books_changes set change_no = given where module = changed.module and entity_id = changed.entity_id
      and organization_id || '' = changed.organization_id;
  end loop;
  return cardinality(picked);
end $$;
comment on function books_number_changes is
  'gives committed changes their place in the feed, so many of each organization and module; returns to how many in all';
`;

const VERSION_VIEWS = `
create view books_record_versions as
select ${KEY}, coalesce(valid_from, updated_at) as valid_from, null::timestamptz as valid_to, ${KEPT} from books_records
union all
select ${KEY}, valid_from, valid_to, ${KEPT} from books_past_records;
comment on view books_record_versions is
  'every version of every record, as long as HISTORY_DAYS keeps it; valid_to is null for the one that stands';
`;

// Also for a session whose role or database sets session_replication_role to replica: nothing here is replication.
const ALWAYS = `
do $$ declare name text; begin
  for name in select tgname from pg_trigger where tgrelid = 'books_records'::regclass and not tgisinternal loop
    execute format('alter table books_records enable always trigger %I', name);
  end loop;
end $$;`;
