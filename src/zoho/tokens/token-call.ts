/** One call of the accounts server: what it answers, and what each refusal means. */
import { isObject } from '../../inbox/json-object.ts';
import { fromFetch } from '../client/errors.ts';
import { accountsUrl, usableApiDomain } from '../organizations/addresses.ts';
import type { ZohoAccess } from '../organizations/organizations.ts';
import type { NewToken, TokenFailure } from './token-store.ts';

export const TOKEN_TIMEOUT_MS = 10_000;
const DEFAULT_LIFETIME_SECONDS = 3600;
/** Older answers count `expires_in` in milliseconds: no token lives longer than a day. */
const LONGEST_LIFETIME_SECONDS = 86_400;

/** Answers that blame what we sent: asking again cannot help, and Zoho blocks who keeps asking. */
const REFUSALS = new Set(['invalid_code', 'invalid_client', 'invalid_client_secret', 'invalid_grant']);

const AFTER_THROTTLE_SECONDS = 60;
const AFTER_TROUBLE_SECONDS = 10;

/** The accounts server gave no token. */
export class TokenRefusal extends Error {
  override name = 'TokenRefusal';
  readonly failure: Omit<TokenFailure, 'message'>;

  constructor(message: string, failure: Partial<TokenFailure> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.failure = { refused: false, counted: true, tryAgainInSeconds: AFTER_TROUBLE_SECONDS, ...failure };
  }
}

/**
 * Exchanges the refresh token for an access token. Throws TokenRefusal. Errors come with HTTP 200 too, so it is the body
 * that decides. Source: Zoho's OAuth pages and recorded answers.
 */
export async function fetchToken(access: ZohoAccess): Promise<NewToken> {
  const { clientId, clientSecret, refreshToken } = access;
  return tokenIn(
    await callAccounts(accountsUrl(access.addresses), {
      grant_type: 'refresh_token',
      client_id: clientId,
      client_secret: clientSecret,
      refresh_token: refreshToken,
    }),
  );
}

/** Posts a form to the accounts server and returns the object it answers with. Throws TokenRefusal for anything else. */
export async function callAccounts(base: string, form: Record<string, string>): Promise<Record<string, unknown>> {
  const { status, text } = await post(`${base}/oauth/v2/token`, form);
  const body = parsed(text);
  if (isObject(body) && typeof body.error === 'string') throw refusalOf(body.error, body.error_description);
  if (status >= 500) throw new TokenRefusal(`${base} answered ${status}`, { counted: false });
  if (!isObject(body)) throw new TokenRefusal(`${base} answered ${status} with something that is not JSON`);
  if (status !== 200) throw new TokenRefusal(`${base} answered ${status}`);
  return body;
}

async function post(url: string, form: Record<string, string>): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(TOKEN_TIMEOUT_MS);
    // No redirect is followed: the body holds secrets.
    const answer = await fetch(url, { method: 'POST', body: new URLSearchParams(form), redirect: 'manual', signal });
    return { status: answer.status, text: await answer.text() };
  } catch (thrown) {
    const error = fromFetch(thrown, new URL(url).origin, TOKEN_TIMEOUT_MS) as Error & { problem?: string };
    // After a time-out Zoho may have counted the call; a connection that could not be made, it has not seen.
    throw new TokenRefusal(error.message, { counted: error.problem === 'timeout' }, error);
  }
}

function refusalOf(error: string, description: unknown): TokenRefusal {
  const message = typeof description === 'string' && description !== '' ? `${error}: ${description}` : error;
  if (REFUSALS.has(error)) return new TokenRefusal(message, { refused: true });
  return new TokenRefusal(`Zoho gives no access token at the moment (${message}).`, {
    tryAgainInSeconds: AFTER_THROTTLE_SECONDS,
  });
}

function tokenIn(body: Record<string, unknown>): NewToken {
  const { access_token: token, api_domain, expires_in, expires_in_sec, scope } = body;
  if (typeof token !== 'string' || token === '') throw new TokenRefusal('The answer holds no access_token.');
  const lifetimeSeconds = lifetime(expires_in_sec ?? expires_in);
  return { token, apiDomain: usableApiDomain(api_domain), scopes: scopesIn(scope), lifetimeSeconds };
}

/** Scopes as Zoho writes them, between blanks or commas; null when it says nothing. */
export function scopesIn(scope: unknown): string[] | null {
  return typeof scope === 'string' ? scope.split(/[\s,]+/).filter((name) => name !== '') : null;
}

function lifetime(given: unknown): number {
  const seconds = Number(given);
  if (!(seconds > 0)) return DEFAULT_LIFETIME_SECONDS;
  return seconds > LONGEST_LIFETIME_SECONDS ? seconds / 1000 : seconds;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
