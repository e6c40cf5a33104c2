import { type Kysely, sql } from 'kysely';

/** Deliveries that were refused, added up; and the indexes by which the story of one event or record is found. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [REJECTIONS, STORIES]) await sql.raw(statements).execute(db);
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
