import { type Kysely, sql } from 'kysely';

/**
 * What alerts need beyond a row per firing rule: how long a condition has held, incidents per label, an outbox that is
 * written with the change it tells of, and the messages that are made of it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [INCIDENTS, OUTBOX, DEAD_LETTERS, ZOHO]) await sql.raw(statements).execute(db);
}

const INCIDENTS = `
alter table tds_alerts
  add column labels jsonb not null default '{}',
  add column acknowledgement_note text,
  add column flapping boolean not null default false,
  add column clear_since timestamptz,
  add column superseded boolean not null default false,
  add column notified_at timestamptz;
comment on table tds_alerts is 'incidents: one row per rule and labels from the moment it fires; kept when it resolves';
comment on column tds_alerts.labels is 'what the rule fires for, such as {"error_tag": "ConflictError"}; empty: the whole system';
comment on column tds_alerts.acknowledgement_note is 'what the operator said who acknowledged it';
comment on column tds_alerts.flapping is 'fired for the third time within an hour: resolves only after ten calm minutes';
comment on column tds_alerts.clear_since is 'of a flapping incident: since when its condition has been clear';
comment on column tds_alerts.superseded is 'ended because another severity of the same condition took its place';
comment on column tds_alerts.notified_at is 'when somebody was last told; repeated every four hours while unacknowledged';
drop index tds_alerts_firing;
create unique index tds_alerts_firing on tds_alerts (rule, labels) where resolved_at is null;
create index tds_alerts_history on tds_alerts (fired_at desc, id desc);

create table tds_alert_pending (
  id uuid primary key default gen_random_uuid(),
  rule text not null,
  labels jsonb not null default '{}',
  since timestamptz not null,
  value double precision not null,
  unique (rule, labels)
);
comment on table tds_alert_pending is 'rules with a duration whose condition holds: they fire once it has held for so long';
comment on column tds_alert_pending.rule is 'as in tds_alerts';
comment on column tds_alert_pending.labels is 'as in tds_alerts';
comment on column tds_alert_pending.since is 'since when the condition has held without a break';
comment on column tds_alert_pending.value is 'what was measured last';
`;

const OUTBOX = `
create table tds_outbox (
  id bigint generated always as identity primary key,
  kind text not null check (kind in ('alert', 'lifecycle', 'digest', 'test')),
  created_at timestamptz not null default now(),
  body jsonb not null
);
comment on table tds_outbox is 'what somebody must be told, written with the change itself; leaves when it stands in a message';
comment on column tds_outbox.kind is 'who is told: alert, digest and test go to ALERT_WEBHOOK_URL and by mail, lifecycle to LIFECYCLE_WEBHOOK_URL';
comment on column tds_outbox.body is 'what happened, without names, amounts or error texts';

create table tds_notifications (
  id uuid primary key default gen_random_uuid(),
  channel text not null check (channel in ('alerts', 'mail', 'lifecycle')),
  kind text not null check (kind in ('alert', 'lifecycle', 'digest', 'test')),
  created_at timestamptz not null default now(),
  body jsonb not null,
  attempts integer not null default 0,
  next_attempt_at timestamptz not null default now(),
  delivered_at timestamptz,
  gave_up_at timestamptz,
  last_error text
);
create index tds_notifications_due on tds_notifications (next_attempt_at) where delivered_at is null and gave_up_at is null;
create index tds_notifications_created on tds_notifications (created_at);
comment on table tds_notifications is 'messages: sent at least once each, always with their id as the key';
comment on column tds_notifications.id is 'the stable key: webhook-id and Message-ID of every attempt';
comment on column tds_notifications.attempts is 'counted before each attempt, so that a crash cannot hide one';
comment on column tds_notifications.next_attempt_at is 'when it may be sent, or sent again';
comment on column tds_notifications.gave_up_at is 'when the last attempt failed; nobody tries again';
`;

// Statement triggers: a thousand dead letters of one statement are one row per error tag.
const NOTICE = `select 'lifecycle', jsonb_build_object('type', 'dead_letter.opened', 'error_tag', n.error_tag,
      'count', count(*), 'event_types', to_jsonb((array_agg(distinct n.event_type))[1:5]),
      'example_ids', to_jsonb((array_agg(n.id order by n.moved_to_dlq_at desc, n.id desc))[1:3]))`;

const DEAD_LETTERS = `
create function tds_dead_letters_opened() returns trigger language plpgsql set search_path = public as $$
begin
  if tg_op = 'INSERT' then
    insert into tds_outbox (kind, body) ${NOTICE}
    from new_rows n where n.resolved_at is null group by n.error_tag;
  else
    insert into tds_outbox (kind, body) ${NOTICE}
    from new_rows n join old_rows o using (id) where n.resolved_at is null and o.resolved_at is not null group by n.error_tag;
  end if;
  return null;
end $$;
create trigger tds_dead_letter_queue_announced after insert on tds_dead_letter_queue
  referencing new table as new_rows for each statement execute function tds_dead_letters_opened();
create trigger tds_dead_letter_queue_announced_again after update on tds_dead_letter_queue
  referencing old table as old_rows new table as new_rows for each statement execute function tds_dead_letters_opened();
alter table tds_dead_letter_queue enable always trigger tds_dead_letter_queue_announced;
alter table tds_dead_letter_queue enable always trigger tds_dead_letter_queue_announced_again;
`;

const ZOHO = `
create table tds_zoho_totals (
  bucket timestamptz not null,
  calls bigint not null default 0,
  failures bigint not null default 0,
  trips bigint not null default 0
);
create index tds_zoho_totals_bucket on tds_zoho_totals (bucket);
create index tds_zoho_totals_trips on tds_zoho_totals (bucket) where trips > 0;
comment on table tds_zoho_totals is 'calls of the Zoho Books API per 10 seconds; several rows of one bucket add up';
comment on column tds_zoho_totals.calls is 'calls that ended';
comment on column tds_zoho_totals.failures is 'calls that got no usable answer';
comment on column tds_zoho_totals.trips is 'how often failures in a row opened the circuit, so that all calls paused';

create function tds_zoho_call_ended() returns trigger language plpgsql set search_path = public as $$
begin
  insert into tds_zoho_totals (bucket, calls) values (date_bin('10 seconds', new.ended_at, 'epoch'), 1);
  return null;
end $$;
create trigger tds_zoho_calls_ended after update on tds_zoho_calls for each row
  when (old.ended_at is null and new.ended_at is not null) execute function tds_zoho_call_ended();

create function tds_zoho_call_failed() returns trigger language plpgsql set search_path = public as $$
begin
  insert into tds_zoho_totals (bucket, failures, trips) values (date_bin('10 seconds', clock_timestamp(), 'epoch'), 1,
    case when new.paused_until is distinct from old.paused_until then 1 else 0 end);
  return null;
end $$;
create trigger tds_zoho_quota_failed after update on tds_zoho_quota for each row
  when (new.failures > old.failures) execute function tds_zoho_call_failed();
`;
