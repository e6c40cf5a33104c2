/** The access token that all processes share, and who may fetch the next one: one row per credential, one statement each. */
import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { accountsUrl } from '../organizations/addresses.ts';
import type { ZohoAccess } from '../organizations/organizations.ts';
import { decryptToken, encryptToken, type TokenKey } from './token-key.ts';

/** Zoho gives ten access tokens per refresh token in ten minutes; half a minute more, because it counts a little later. */
const MAX_TOKEN_CALLS = 10;
const TOKEN_WINDOW = sql`interval '630 seconds'`;
/** Longer than a token call may take: a process that dies in one delays the others by this much. */
const LEASE = sql`interval '20 seconds'`;

/** What the row says, measured by the database's clock. */
export type StoredToken = {
  token: string | null;
  apiDomain: string | null;
  generation: string;
  /** Seconds it is still valid, and for how many it was given; 0 without a token. */
  secondsLeft: number;
  lifetimeSeconds: number;
  /** Zoho refused the credential itself. */
  refused: boolean;
  failure: string | null;
  /** Seconds until a token call may be made after one that failed; 0 when it may be now. */
  tryAgainInSeconds: number;
  /** Seconds until one of Zoho's ten token calls is free again; 0 when one is. */
  callFreeInSeconds: number;
};

/** The name under which a credential's token is shared: whoever has the same settings has the same name. */
export function credentialOf({ addresses, clientId, refreshToken }: ZohoAccess): string {
  return createHash('sha256')
    .update(JSON.stringify([accountsUrl(addresses), clientId, refreshToken]))
    .digest('hex');
}

/** Reads the shared token; a credential that was never used has generation 0 and nothing else. */
export async function readToken(db: Database, key: TokenKey, credential: string): Promise<StoredToken> {
  const { rows } = await sql<Row>`
    select access_token, api_domain, generation, failure, refused_at is not null as refused,
      coalesce(${secondsUntil(sql`expires_at`)}, 0) as seconds_left,
      coalesce(extract(epoch from expires_at - refreshed_at)::float8, 0) as lifetime_seconds,
      coalesce(${secondsUntil(sql`try_again_at`)}, 0) as try_again_in_seconds,
      coalesce(${secondsUntil(
        sql`(select c + ${TOKEN_WINDOW} from unnest(token_calls) c order by c desc offset ${MAX_TOKEN_CALLS - 1} limit 1)`,
      )}, 0) as call_free_in_seconds
    from tds_zoho_tokens where credential = ${credential}`.execute(db);
  return storedToken(rows[0], key, credential);
}

type Row = {
  access_token: Buffer | null;
  api_domain: string | null;
  generation: string;
  failure: string | null;
  refused: boolean;
  seconds_left: number;
  lifetime_seconds: number;
  try_again_in_seconds: number;
  call_free_in_seconds: number;
};

function storedToken(row: Row | undefined, key: TokenKey, credential: string): StoredToken {
  const stored = row?.access_token;
  return {
    token: stored ? decryptToken(key, credential, stored) : null,
    apiDomain: row?.api_domain ?? null,
    generation: row?.generation ?? '0',
    secondsLeft: row?.seconds_left ?? 0,
    lifetimeSeconds: row?.lifetime_seconds ?? 0,
    refused: row?.refused ?? false,
    failure: row?.failure ?? null,
    tryAgainInSeconds: row?.try_again_in_seconds ?? 0,
    callFreeInSeconds: row?.call_free_in_seconds ?? 0,
  };
}

/**
 * Takes the right to fetch the token that follows `generation`, and counts the call. False when somebody else has it,
 * the token was replaced meanwhile, or no call may be made: one update of one row, so that two never both succeed.
 */
export async function claimTokenCall(
  db: Database,
  claim: { credential: string; organizationId: string; generation: string; lease: string },
): Promise<boolean> {
  const { credential, organizationId, generation, lease } = claim;
  const { rows } = await sql`
    insert into tds_zoho_tokens as t (credential, organizations, refresh_lease, refresh_lease_until, token_calls)
    values (${credential}, array[${organizationId}::text], ${lease}::uuid, clock_timestamp() + ${LEASE},
      array[clock_timestamp()])
    on conflict (credential) do update set
      organizations = array(select distinct unnest(t.organizations || excluded.organizations)),
      refresh_lease = excluded.refresh_lease,
      refresh_lease_until = clock_timestamp() + ${LEASE},
      token_calls = array(select c from unnest(t.token_calls) c where c > clock_timestamp() - ${TOKEN_WINDOW} order by c)
        || clock_timestamp()
    where t.generation = ${generation}
      and t.refused_at is null
      and coalesce(t.refresh_lease_until, '-infinity') < clock_timestamp()
      and coalesce(t.try_again_at, '-infinity') <= clock_timestamp()
      and (select count(*) from unnest(t.token_calls) c where c > clock_timestamp() - ${TOKEN_WINDOW})
        < ${MAX_TOKEN_CALLS}
    returning credential`.execute(db);
  return rows.length > 0;
}

export type NewToken = {
  token: string;
  apiDomain: string | null;
  /** Null when Zoho did not say. */
  scopes: string[] | null;
  lifetimeSeconds: number;
};

/** Stores a token for everybody, unless the lease has passed to another process meanwhile. */
export async function storeToken(
  db: Database,
  key: TokenKey,
  claim: { credential: string; lease: string },
  { token, apiDomain, scopes, lifetimeSeconds }: NewToken,
): Promise<void> {
  await db
    .updateTable('tds_zoho_tokens')
    .set({
      access_token: encryptToken(key, claim.credential, token),
      api_domain: apiDomain,
      scopes,
      generation: sql`generation + 1`,
      refreshed_at: sql`clock_timestamp()`,
      expires_at: sql`clock_timestamp() + make_interval(secs => ${lifetimeSeconds})`,
      ...{ refresh_lease: null, refresh_lease_until: null },
      ...{ try_again_at: null, failure: null, failed_at: null },
    })
    .where('credential', '=', claim.credential)
    .where('refresh_lease', '=', claim.lease)
    .execute();
}

export type TokenFailure = {
  message: string;
  /** No process tries again before. */
  tryAgainInSeconds: number;
  /** Zoho refused the credential: no process tries again until somebody acts. */
  refused: boolean;
  /** Whether Zoho may have counted the call. */
  counted: boolean;
};

/** Remembers for everybody that a token call failed. */
export async function storeTokenFailure(
  db: Database,
  claim: { credential: string; lease: string },
  { message, tryAgainInSeconds, refused, counted }: TokenFailure,
): Promise<void> {
  await db
    .updateTable('tds_zoho_tokens')
    .set({
      ...{ refresh_lease: null, refresh_lease_until: null },
      failure: message,
      failed_at: sql`clock_timestamp()`,
      try_again_at: sql`clock_timestamp() + make_interval(secs => ${tryAgainInSeconds})`,
      refused_at: refused ? sql`clock_timestamp()` : null,
      // Ours is the last one: nobody else adds any while we hold the lease.
      ...(counted ? {} : { token_calls: sql`token_calls[1:cardinality(token_calls) - 1]` }),
    })
    .where('credential', '=', claim.credential)
    .where('refresh_lease', '=', claim.lease)
    .execute();
}

/** Lets a refused credential be tried once more: somebody has asked for it. */
export async function forgetRefusal(db: Database, credential: string): Promise<void> {
  await db
    .updateTable('tds_zoho_tokens')
    .set({ refused_at: null, try_again_at: null })
    .where('credential', '=', credential)
    .execute();
}

/** What a credential may do, as Zoho said with its last token; null when it did not say. */
export async function grantedScopes(db: Database, credential: string): Promise<string[] | null> {
  const row = await db
    .selectFrom('tds_zoho_tokens')
    .select('scopes')
    .where('credential', '=', credential)
    .executeTakeFirst();
  return row?.scopes ?? null;
}

export type TokenTrouble = { organizations: string[]; refused: boolean; failure: string; failed_at: Date };

/** Credentials whose last token call failed, for alerts and readiness: refused ones need somebody to act. */
export async function tokenTroubles(db: Database): Promise<TokenTrouble[]> {
  const { rows } = await sql<TokenTrouble>`
    select organizations, refused_at is not null as refused, failure, failed_at
    from tds_zoho_tokens where failure is not null order by failed_at desc`.execute(db);
  return rows;
}

/** Seconds until a time by the database's clock, never negative; null for null. */
function secondsUntil(time: ReturnType<typeof sql>) {
  return sql`greatest(0, extract(epoch from ${time} - clock_timestamp())::float8)`;
}
