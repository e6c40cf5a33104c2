import { type Kysely, sql } from 'kysely';

/** Rejected deliveries, added up; the indexes by which the story of an event or record is found; fields of records. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [REJECTIONS, STORIES, FIELDS]) await sql.raw(statements).execute(db);
}

const REJECTIONS = `
create table tds_webhook_rejections (
  id uuid primary key default gen_random_uuid(),
  hour timestamptz not null,
  cause text not null,
  path text not null,
  rejections bigint not null,
  first_at timestamptz not null,
  last_at timestamptz not null,
  bytes bigint,
  sha256 text,
  constraint tds_webhook_rejections_counter unique (hour, cause, path)
);
create index tds_webhook_rejections_latest on tds_webhook_rejections (last_at desc, id desc);
comment on table tds_webhook_rejections is 'refused deliveries per hour, cause and path; at most 500 rows an hour, whoever sends what';
comment on column tds_webhook_rejections.path is 'parts that are no id, module or action are *; also * beyond 500 rows an hour';
comment on column tds_webhook_rejections.bytes is 'size of the body of one of them';
comment on column tds_webhook_rejections.sha256 is 'of that body, when it was read; the body itself is kept nowhere';

create table tds_webhook_intake (
  singleton boolean primary key default true check (singleton),
  last_accepted_at timestamptz,
  rejected_since_accepted bigint not null default 0
);
insert into tds_webhook_intake default values;
comment on table tds_webhook_intake is 'whether deliveries are accepted, as of some seconds ago: one row';
comment on column tds_webhook_intake.last_accepted_at is 'the latest delivery that proved itself';
comment on column tds_webhook_intake.rejected_since_accepted is 'deliveries refused after that one';
`;

// Neither column ever changes, so that updates of a queue row stay HOT.
const STORIES = `
create index tds_sync_queue_entity on tds_sync_queue (entity_key, arrival);
create index tds_audit_log_target on tds_audit_log (target, id) where target is not null;
`;

const FIELDS = `
create table tds_fields (
  module text not null,
  field text not null,
  first_seen_at timestamptz not null default now(),
  last_seen_at timestamptz not null default now(),
  new_since timestamptz,
  seen bigint not null,
  offered bigint not null,
  missed bigint not null default 0,
  unreadable bigint not null default 0,
  unreadable_at timestamptz,
  unreadable_entity_id text,
  primary key (module, field)
);
comment on table tds_fields is 'fields of the mirrored records, as samples of the complete ones show them';
comment on column tds_fields.field is 'key of the record; custom_field_hash.<API name> of a custom field';
comment on column tds_fields.new_since is 'when it appeared, if records of its module were known without it';
comment on column tds_fields.seen is 'records of the samples that had it';
comment on column tds_fields.offered is 'records of the samples from the first to the last one that had it';
comment on column tds_fields.missed is 'records of the samples since then, all without it';
comment on column tds_fields.unreadable is 'records that have text there which the view shows as null';
comment on column tds_fields.unreadable_entity_id is 'one of these records';

create table tds_field_samples (
  module text primary key,
  records bigint not null,
  last_queued_at timestamptz not null
);
comment on table tds_field_samples is 'how far the samples of tds_fields have come';
comment on column tds_field_samples.records is 'complete records looked at so far';
comment on column tds_field_samples.last_queued_at is 'of the latest event whose record was looked at';
`;
