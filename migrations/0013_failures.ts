import { type Kysely, sql } from 'kysely';

/** Failed attempts by cause: each with what a developer needs, and what an operator has decided about its cause. */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [FINGERPRINT, FAILURES, GROUPS]) await sql.raw(statements).execute(db);
}

const QUOTED = String.raw`"[^"]*"|${'`[^`]*`'}|(?<!\w)''[^'']*''(?!\w)`;
const EMAIL = String.raw`[^\s@"]+@[^\s@"]+`;
const UUID = '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}';
const WITH_DIGITS = String.raw`\w*\d\w*([.,-]\w+)*`;

// Cut afterwards, because texts of different lengths would end at different places. Words that hold an apostrophe stay
// words.
const FINGERPRINT = `
create function tds_error_template(message text) returns text language sql immutable parallel safe
return left(regexp_replace(left(message, 500), '${QUOTED}|${EMAIL}|${UUID}|${WITH_DIGITS}', '…', 'g'), 160);
comment on function tds_error_template is
  'what messages of one cause have in common: quoted values, e-mail addresses, ids and numbers become an ellipsis';

create function tds_fingerprint(error_tag text, template text, place text) returns text
language sql immutable parallel safe
return left(md5(error_tag || ' ' || template || ' ' || place), 16);
comment on function tds_fingerprint is 'names a cause: tag, tds_error_template of the message, and where it was thrown';
`;

// Written in the transaction that ends the attempt, so no index but the two that are read. entity_key is included for
// the count of affected entities, which then reads the index alone.
const FAILURES = `
create table tds_failures (
  event_id uuid not null,
  created_at timestamptz not null,
  fingerprint text not null,
  attempt integer not null,
  status text not null check (status in ('retry', 'dead_letter', 'crashed')),
  organization_id text not null,
  event_type text not null,
  entity_id text,
  entity_key bigint not null,
  worker_id uuid not null,
  handler text,
  error_tag text not null,
  message text not null,
  http_status integer,
  stack text,
  causes jsonb,
  primary key (event_id, created_at)
) with (autovacuum_vacuum_insert_scale_factor = 0.05);
create index tds_failures_fingerprint on tds_failures (fingerprint, created_at desc, event_id desc) include (entity_key);

comment on table tds_failures is 'attempts that were charged and failed, one row each, without people''s data; never an attempt that succeeded';
comment on column tds_failures.event_id is 'the id of the event in tds_sync_queue';
comment on column tds_failures.created_at is 'when the attempt ended';
comment on column tds_failures.fingerprint is 'tds_fingerprint of tag, message and top frame';
comment on column tds_failures.attempt is 'which attempt it was, from 1';
comment on column tds_failures.status is 'how the attempt ended, as in tds_sync_logs';
comment on column tds_failures.entity_id is 'id of the record in Zoho Books';
comment on column tds_failures.entity_key is 'tds_entity_key of organization, module and entity id';
comment on column tds_failures.worker_id is 'whose attempt it was';
comment on column tds_failures.handler is 'the handler that threw; null when it was none of them';
comment on column tds_failures.message is 'the template of the message: without quoted values, ids and numbers';
comment on column tds_failures.http_status is 'what a called system answered';
comment on column tds_failures.stack is 'frames without the message, at most 8 kB with the causes';
comment on column tds_failures.causes is 'the error and what caused it: name, message, code, status and redacted body of a called system';
`;

// Changes are appended by whoever ends an attempt, and added up by one process at a time: a counter per cause would have
// all workers that meet the same outage wait for one row, each until the other's commit.
const GROUPS = `
create table tds_failure_changes (
  fingerprint text not null,
  error_tag text not null,
  message text not null,
  place text not null,
  handler text,
  failures bigint not null,
  seen_at timestamptz not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
comment on table tds_failure_changes is 'failures that are not yet counted in tds_failure_groups';
comment on column tds_failure_changes.failures is 'how many of this fingerprint ended in one transaction';

create table tds_failure_groups (
  fingerprint text primary key,
  error_tag text not null,
  message text not null,
  place text not null,
  handler text,
  failures bigint not null,
  first_seen_at timestamptz not null,
  last_seen_at timestamptz not null,
  resolved_at timestamptz,
  resolved_by text,
  ignored_at timestamptz,
  ignored_by text,
  ignore_reason text,
  state text not null generated always as (
    case when ignored_at is not null then 'ignored'
      when resolved_at is null then 'open'
      when last_seen_at > resolved_at then 'reopened'
      else 'resolved' end) stored,
  constraint resolved_or_ignored check (resolved_at is null or ignored_at is null),
  constraint somebody_ignores_for_a_reason check (
    (ignored_at is null) = (ignore_reason is null) and (ignored_at is null) = (ignored_by is null))
);
create index tds_failure_groups_latest on tds_failure_groups (last_seen_at desc, fingerprint desc);
comment on table tds_failure_groups is 'failures by cause, and what an operator has decided about each cause';
comment on column tds_failure_groups.place is 'function and file of the top frame, without line';
comment on column tds_failure_groups.handler is 'the handler that threw, when it was seen first';
comment on column tds_failure_groups.failures is 'since the first one, whatever has been purged since';
comment on column tds_failure_groups.state is 'follows from the times: a failure after resolved_at reopens the group, nobody has to do it';

create table tds_failure_hours (
  fingerprint text not null,
  hour timestamptz not null,
  failures bigint not null,
  primary key (fingerprint, hour)
);
create index tds_failure_hours_hour on tds_failure_hours (hour);
comment on table tds_failure_hours is 'failures per cause and hour';
`;
