import { type Kysely, sql } from 'kysely';

/**
 * What tells whether every change of Zoho Books was announced: changes counted by how they came, holes, and what the
 * workflow rules in Zoho announce at all.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [CHANGES, TOTALS, HOLES, RULES, MARKS, STALE, REBUILD])
    await sql.raw(statements).execute(db);
}

// Whether a change is a hole is decided once, an hour after it was found; then nobody asks for it any more.
const CHANGES = `
alter table tds_pulled_changes add column judged_at timestamptz;
comment on column tds_pulled_changes.judged_at is 'when it was decided whether the change is a hole; purged after that, once its run has ended';
drop index tds_pulled_changes_unannounced;
create index tds_pulled_changes_to_judge on tds_pulled_changes (found_at) where judged_at is null;
create index tds_pulled_changes_judged on tds_pulled_changes (judged_at) where judged_at is not null;
`;

// Rows of one bucket add up, so that no two who store events wait for each other; tds_change_totals is compacted.
const TOTALS = `
create table tds_change_totals (
  organization_id text not null,
  module text not null,
  bucket timestamptz not null,
  webhooks bigint not null default 0,
  pulled bigint not null default 0,
  first_webhook_version timestamptz,
  last_webhook_at timestamptz,
  last_change_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0);
create index tds_change_totals_bucket on tds_change_totals (bucket);
comment on table tds_change_totals is 'changes stored in the inbox per hour; several rows of one bucket add up';
comment on column tds_change_totals.organization_id is 'organization of Zoho Books';
comment on column tds_change_totals.module is 'as in books_records';
comment on column tds_change_totals.bucket is 'begin of the hour, UTC; -infinity: everything older than RETENTION_DAYS';
comment on column tds_change_totals.webhooks is 'deliveries that were understood; a repeat counts once';
comment on column tds_change_totals.pulled is 'differences that pulls found';
comment on column tds_change_totals.first_webhook_version is 'the oldest last_modified_time that a delivery brought: changes since then are expected to be announced';
comment on column tds_change_totals.last_webhook_at is 'when the latest delivery arrived';
comment on column tds_change_totals.last_change_at is 'the latest last_modified_time, however it came';
`;

const HOLES = `
create table tds_holes (
  event_id uuid primary key,
  organization_id text not null,
  module text not null,
  entity_id text not null,
  version timestamptz,
  difference text not null,
  changed_at timestamptz not null,
  pulled_at timestamptz not null,
  found_at timestamptz not null default now(),
  constraint tds_holes_of_a_change unique nulls not distinct (module, entity_id, organization_id, version)
);
create index tds_holes_found on tds_holes (found_at);
create index tds_holes_by_module on tds_holes (organization_id, module, found_at) include (changed_at);
comment on table tds_holes is 'changes in Zoho Books that a pull found and no webhook had announced in time';
comment on column tds_holes.event_id is 'the event that carried the change into the mirror';
comment on column tds_holes.organization_id is 'organization of Zoho Books';
comment on column tds_holes.module is 'as in books_records';
comment on column tds_holes.entity_id is 'the record';
comment on column tds_holes.version is 'its last_modified_time; null for a deletion';
comment on column tds_holes.difference is 'how the mirror differed, as in tds_pulled_changes';
comment on column tds_holes.changed_at is 'when it changed in Zoho; of a deletion, when a pull found it';
comment on column tds_holes.pulled_at is 'when a pull found it';
comment on column tds_holes.found_at is 'when it was clear that no webhook would come: HOLE_GRACE_SECONDS later';
`;

const RULES = `
create table tds_zoho_rules (
  organization_id text not null,
  module text not null,
  problems text[] not null,
  checked_at timestamptz not null default now(),
  primary key (organization_id, module)
);
comment on table tds_zoho_rules is 'what the workflow rules in Zoho Books announce, as npm run zoho -- check saw them last';
comment on column tds_zoho_rules.organization_id is 'organization of Zoho Books';
comment on column tds_zoho_rules.module is 'as in books_records';
comment on column tds_zoho_rules.problems is 'what is missing, a sentence each; none: new records, changes and deletions are announced';
comment on column tds_zoho_rules.checked_at is 'when that was read from Zoho';
`;

const MARKS = `
alter table tds_pull_marks add column first_pulled_at timestamptz, add column scanned_records integer;
update tds_pull_marks set first_pulled_at = known_until;
alter table tds_pull_marks alter first_pulled_at set not null;
comment on column tds_pull_marks.organization_id is 'organization of Zoho Books';
comment on column tds_pull_marks.module is 'as in books_records';
comment on column tds_pull_marks.run_id is 'the workflow that moved it last';
comment on column tds_pull_marks.updated_at is 'when it was moved last';
comment on column tds_pull_marks.first_pulled_at is 'start of the first run that pulled the module whole: later changes should be announced';
comment on column tds_pull_marks.scanned_records is 'live records in Zoho when the whole list was last read';
`;

// complete: so that stale and incomplete rows are counted in the index alone. It never changes without stale_since, so
// that updates of rows that are current stay HOT.
const STALE = `
drop index books_records_stale;
create index books_records_stale on books_records (organization_id, module, stale_since) include (complete)
  where stale_since is not null;
`;

const DAY_AGO = `date_trunc('hour', now() - interval '24 hours', 'UTC')`;

// A wrapper, so that whatever else is rebuilt stays as it is. Ids of events begin with their time (UUID version 7).
const REBUILD = `
alter function tds_rebuild() rename to tds_rebuild_events;
comment on function tds_rebuild_events is 'the part of tds_rebuild that follows from events and attempts';

create function tds_rebuild_changes() returns table (what text, was bigint, is_now bigint) language plpgsql
set search_path = public as $$
begin
  -- In the order in which whoever stores events takes these locks.
  lock table tds_sync_queue in share row exclusive mode;
  lock table tds_change_totals in share row exclusive mode;
  create temporary table tds_recounted on commit drop as
    select e.organization_id, e.module, date_trunc('hour', e.received_at, 'UTC') as bucket,
      count(*) filter (where p.source = 'webhook') as webhooks, count(*) filter (where p.source = 'pull') as pulled,
      min(p.version) filter (where p.source = 'webhook' and coalesce(q.versioned, false)) as first_webhook_version,
      max(e.received_at) filter (where p.source = 'webhook') as last_webhook_at,
      max(least(coalesce(p.version, e.received_at), e.received_at)) as last_change_at
    from tds_inbox_events e join tds_inbox_payloads p using (event_id) left join tds_sync_queue q on q.id = e.event_id
    where e.event_id >= rpad(lpad(to_hex((extract(epoch from ${DAY_AGO} - interval '1 hour') * 1000)::bigint), 12, '0'), 32, '0')::uuid
      and e.received_at >= ${DAY_AGO} and e.quarantine_reason is null and e.module is not null
      and p.source in ('webhook', 'pull')
    group by 1, 2, 3;
  return query
    select r.what, r.was, r.is_now from (
      select 'webhooks of the last day' as what,
        (select coalesce(sum(t.webhooks), 0)::bigint from tds_change_totals t where t.bucket >= ${DAY_AGO}) as was,
        (select coalesce(sum(n.webhooks), 0)::bigint from tds_recounted n) as is_now
      union all
      select 'pulled changes of the last day',
        (select coalesce(sum(t.pulled), 0)::bigint from tds_change_totals t where t.bucket >= ${DAY_AGO}),
        (select coalesce(sum(n.pulled), 0)::bigint from tds_recounted n)) r
    where r.was <> r.is_now;
  delete from tds_change_totals t where t.bucket >= ${DAY_AGO};
  insert into tds_change_totals (organization_id, module, bucket, webhooks, pulled, first_webhook_version, last_webhook_at, last_change_at)
    select n.organization_id, n.module, n.bucket, n.webhooks, n.pulled, n.first_webhook_version, n.last_webhook_at, n.last_change_at
    from tds_recounted n;
end $$;
comment on function tds_rebuild_changes is 'counts the changes of the last day anew from the inbox and says what differed';

create function tds_rebuild() returns table (what text, was bigint, is_now bigint) language sql
set search_path = public as $$
  select * from tds_rebuild_events() union all select * from tds_rebuild_changes()
$$;
comment on function tds_rebuild is 'derives everything from the queue, its logs and the inbox anew and says what differed';
`;
