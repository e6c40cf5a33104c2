import { type Kysely, sql } from 'kysely';

/** What all processes have to agree on before one of them may call Zoho: the access token and the quota. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TOKENS).execute(db);
  await sql.raw(QUOTA).execute(db);
  await sql.raw(CALLS).execute(db);
}

// The key is a hash of accounts server, client and refresh token: a corrected setting is another credential, so nothing
// remembered about the wrong one stands in its way.
const TOKENS = `
create table tds_zoho_tokens (
  credential text primary key,
  organizations text[] not null default '{}',
  access_token bytea,
  api_domain text,
  generation bigint not null default 0,
  refreshed_at timestamptz,
  expires_at timestamptz,
  refresh_lease uuid,
  refresh_lease_until timestamptz,
  token_calls timestamptz[] not null default '{}',
  try_again_at timestamptz,
  failure text,
  failed_at timestamptz,
  refused_at timestamptz
);

comment on table tds_zoho_tokens is 'access tokens of Zoho, one per refresh token, shared by all processes';
comment on column tds_zoho_tokens.credential is 'SHA-256 of accounts server, client id and refresh token';
comment on column tds_zoho_tokens.organizations is 'organizations that have asked for this token, for messages and alerts';
comment on column tds_zoho_tokens.access_token is 'AES-256-GCM: nonce, tag, text; the key is in a file, never here';
comment on column tds_zoho_tokens.generation is 'goes up with every new token, so that a rejected one is replaced once';
comment on column tds_zoho_tokens.refresh_lease is 'the process that is fetching a token; nobody else does until the lease ends';
comment on column tds_zoho_tokens.token_calls is 'calls of the last ten minutes; Zoho allows ten';
comment on column tds_zoho_tokens.try_again_at is 'no token call before this, after one that failed';
comment on column tds_zoho_tokens.failure is 'what the last token call failed with; null after one that succeeded';
comment on column tds_zoho_tokens.refused_at is
  'Zoho refused the credential itself (revoked, wrong data centre): no call until a setting changes or somebody checks';
`;

// Logged, unlike the rate limits of handlers: a quota that is forgotten in a crash is exceeded for the rest of the day.
// fillfactor 10: a handful of rows, rewritten with every call, stay on their page (HOT).
const QUOTA = `
create table tds_zoho_quota (
  organization_id text primary key,
  day_limit integer,
  day_remaining integer,
  measured_at timestamptz,
  day_resets_at timestamptz,
  our_calls integer not null default 0,
  our_calls_since timestamptz not null default now(),
  paused_until timestamptz,
  pause_code integer,
  pause_reason text,
  in_flight_limit integer,
  in_flight_lowered_at timestamptz,
  failures integer not null default 0,
  refetch_waits_until timestamptz,
  time_zone text
) with (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

comment on table tds_zoho_quota is 'what each organization may still call; locked for a moment by every call';
comment on column tds_zoho_quota.day_remaining is 'X-Rate-Limit-Remaining, the lowest seen in this day; counts everybody''s calls';
comment on column tds_zoho_quota.day_resets_at is 'when Zoho begins a new day: midnight in the organization''s zone';
comment on column tds_zoho_quota.our_calls is 'our own calls since our_calls_since; the rest of what is used is others''';
comment on column tds_zoho_quota.pause_code is 'Zoho''s code 44 or 45, or null when the API failed repeatedly';
comment on column tds_zoho_quota.in_flight_limit is 'lowered by code 1070; one more is allowed for every minute since';
comment on column tds_zoho_quota.failures is 'calls in a row that the API did not answer properly';
comment on column tds_zoho_quota.refetch_waits_until is 'a re-fetch waits for a slot: backfill stands back until then';
comment on column tds_zoho_quota.time_zone is 'the organization''s zone, for the reset when Zoho names none';
`;

const CALLS = `
create table tds_zoho_calls (
  id bigint generated always as identity primary key,
  organization_id text not null references tds_zoho_quota on delete cascade,
  lane text not null check (lane in ('refetch', 'backfill')),
  started_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  ended_at timestamptz
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

create index tds_zoho_calls_organization on tds_zoho_calls (organization_id);

comment on table tds_zoho_calls is 'calls of the last minute and those in flight';
comment on column tds_zoho_calls.expires_at is 'in flight no longer than this, whatever became of the process';
comment on column tds_zoho_calls.ended_at is
  'the call fills its place in the sliding minute until a minute after this: Zoho counted it before it answered';
`;
