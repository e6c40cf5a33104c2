/** From a self client's grant code to a refresh token, the scopes it lacks, and the organizations it can reach. */
import { isObject } from '../../inbox/json-object.ts';
import { readAnswer } from '../client/answer.ts';
import { ZohoError } from '../client/errors.ts';
import { send } from '../client/http.ts';
import { ALL_SCOPES } from '../modules/pull-modules.ts';
import { type Addresses, accountsUrl, apiBase, usableApiDomain } from '../organizations/addresses.ts';
import { callAccounts, scopesIn, TokenRefusal } from '../tokens/token-call.ts';

const TIMEOUT_MS = 15_000;

export type Connection = {
  /** Those whose accounts server took the code. */
  addresses: Addresses;
  refreshToken: string;
  accessToken: string;
  apiDomain: string | null;
  /** Scopes that were granted; null when Zoho did not say. */
  scopes: string[] | null;
};

export type Grant = { clientId: string; clientSecret: string; code: string };

/**
 * Exchanges a grant code, at the first of these addresses that takes it: a code is worth nothing in another data centre
 * than its own, and is not used up there. Throws an Error with a sentence for the operator.
 */
export async function exchangeGrantCode(grant: Grant, candidates: readonly Addresses[]): Promise<Connection> {
  const refusals: string[] = [];
  for (const addresses of candidates) {
    try {
      return connection(addresses, await callAccounts(accountsUrl(addresses), grantForm(grant)));
    } catch (error) {
      if (!(error instanceof TokenRefusal)) throw error;
      refusals.push(`${addresses.dc} (${accountsUrl(addresses)}): ${error.message}`);
    }
  }
  throw new Error(
    `No data centre takes the code. A code is good once and for the minutes chosen when it was made: make a new one, ` +
      `and check ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET.\n  ${refusals.join('\n  ')}`,
  );
}

function grantForm({ clientId, clientSecret, code }: Grant): Record<string, string> {
  return { grant_type: 'authorization_code', client_id: clientId, client_secret: clientSecret, code };
}

function connection(addresses: Addresses, answer: Record<string, unknown>): Connection {
  const { refresh_token: refreshToken, access_token: accessToken, api_domain, scope } = answer;
  if (typeof refreshToken !== 'string' || typeof accessToken !== 'string')
    throw new Error('Zoho gave no refresh token: the code must come from a self client, or have access_type=offline.');
  return { addresses, refreshToken, accessToken, apiDomain: usableApiDomain(api_domain), scopes: scopesIn(scope) };
}

/** The scopes that pulling all modules needs and this grant lacks; `fullaccess.all` and `.ALL` count as what they cover. */
export function missingScopes(granted: readonly string[]): string[] {
  const have = new Set(granted.map((scope) => scope.toLowerCase()));
  return ALL_SCOPES.filter((scope) => {
    const [service = '', part = ''] = scope.toLowerCase().split('.');
    return ![scope.toLowerCase(), `${service}.${part}.all`, `${service}.fullaccess.all`].some((name) => have.has(name));
  });
}

export type ListedOrganization = { id: string; name: string; timeZone: string };

/** The organizations that the token's user belongs to. Throws ZohoError. */
export async function listOrganizations(connected: Connection): Promise<ListedOrganization[]> {
  const { addresses, accessToken, apiDomain } = connected;
  const url = new URL(`${apiBase('books', addresses, apiDomain)}/organizations`);
  const asked = { what: '/organizations', scope: 'ZohoBooks.settings.READ' };
  const answer = readAnswer(await send({ url, token: accessToken, timeoutMs: TIMEOUT_MS }), asked);
  if (answer instanceof ZohoError) throw answer;
  return listedOrganizations(answer.body);
}

/** The organizations that an answer of `/organizations` names. Throws ZohoError when it has no list. */
export function listedOrganizations({ organizations }: Record<string, unknown>): ListedOrganization[] {
  if (!Array.isArray(organizations)) throw new ZohoError('unreadable', '/organizations: the answer has no list.');
  return organizations.filter(isObject).map(({ organization_id, name, time_zone }) => ({
    id: String(organization_id ?? ''),
    name: String(name ?? ''),
    timeZone: String(time_zone ?? ''),
  }));
}
