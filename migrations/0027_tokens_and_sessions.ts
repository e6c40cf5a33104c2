import { type Kysely, sql } from 'kysely';

/**
 * Tokens of operators, browser sessions that were made from a token, and since when each secret has been what it is. Of
 * tokens and sessions only the SHA-256 is kept: they are 256 random bits, so nobody finds them from it.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TOKENS).execute(db);
  await sql.raw(SESSIONS).execute(db);
  await sql.raw(SECRETS).execute(db);
}

const TOKENS = `
create table tds_tokens (
  id uuid primary key default gen_random_uuid(),
  name text not null check (name ~ '^[[:alnum:]_.@-]{1,64}$'),
  role text not null check (role in ('viewer', 'operator', 'admin')),
  token_sha256 bytea not null unique check (octet_length(token_sha256) = 32),
  created_at timestamptz not null default now(),
  created_by text not null,
  expires_at timestamptz not null,
  last_used_at timestamptz,
  revoked_at timestamptz,
  revoked_by text,
  constraint somebody_revoked_it check ((revoked_at is null) = (revoked_by is null))
);
create unique index tds_tokens_name on tds_tokens (name) where revoked_at is null;
comment on table tds_tokens is 'tokens of operators, beside those of OPERATOR_TOKENS';
comment on column tds_tokens.name is 'who has it, as the audit log calls him; one that is not revoked has a name of its own';
comment on column tds_tokens.role is 'what he may do';
comment on column tds_tokens.token_sha256 is 'SHA-256 of the token, which was shown once';
comment on column tds_tokens.created_by is 'the operator who made it';
comment on column tds_tokens.expires_at is 'when it ends by itself';
comment on column tds_tokens.last_used_at is 'to the minute';
comment on column tds_tokens.revoked_at is 'when it was ended';
comment on column tds_tokens.revoked_by is 'the operator who ended it';
`;

const SESSIONS = `
create table tds_sessions (
  session_sha256 bytea primary key check (octet_length(session_sha256) = 32),
  token_sha256 bytea not null check (octet_length(token_sha256) = 32),
  created_at timestamptz not null default now(),
  expires_at timestamptz not null
);
create index tds_sessions_expiry on tds_sessions (expires_at);
comment on table tds_sessions is 'browser sessions; one that is logged out is deleted';
comment on column tds_sessions.session_sha256 is 'SHA-256 of the cookie';
comment on column tds_sessions.token_sha256 is
  'SHA-256 of the token that it was made from, in tds_tokens or OPERATOR_TOKENS: it says who it is, and with it the session ends';
comment on column tds_sessions.expires_at is 'when it ends by itself';
`;

const SECRETS = `
create table tds_secrets (
  name text primary key,
  salt bytea not null,
  fingerprint bytea not null,
  since timestamptz not null default now()
);
comment on table tds_secrets is 'since when each secret setting has had its value';
comment on column tds_secrets.name is 'name of the setting';
comment on column tds_secrets.salt is 'random, so that equal secrets look different';
comment on column tds_secrets.fingerprint is
  'four bytes of SHA-256 over salt and value: enough to see a change, too little to find the value';
comment on column tds_secrets.since is 'when this value was seen first';
`;
