/** Whose the refresh token of each organization is, where it works, and what it may do. The token itself is never shown. */

import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import { isObject } from '../../inbox/json-object.ts';
import type { ZohoClient } from '../client/client.ts';
import { ZohoError } from '../client/errors.ts';
import { accountsUrl, apiBase } from '../organizations/addresses.ts';
import type { ZohoAccess } from '../organizations/organizations.ts';
import { credentialOf, grantedScopes } from '../tokens/token-store.ts';
import { SCOPE, TURN, text } from './check.ts';
import { withClients } from './clients.ts';
import { type ListedOrganization, listedOrganizations, missingScopes } from './connect.ts';

/** One configured organization and the account that acts for it. */
export type Identity = {
  organization_id: string;
  /** Name and e-mail of the user; null when the token may not read them. */
  account: string | null;
  data_centre: string;
  accounts_url: string;
  api_url: string;
  /** The organizations that the account can reach. */
  organizations: ListedOrganization[];
  /** Whether this one is among them. */
  reachable: boolean;
  /** As Zoho said when it gave the last token; null when it did not say. */
  scopes: string[] | null;
  /** Of the scopes that pulling needs, those that lack; empty when it is not known. */
  missing_scopes: string[];
};

/** Asks Zoho for each organization, or for the one that is named. Throws ZohoError, and UsageError when there is none. */
export async function whoami(config: Config, named: string | undefined): Promise<Identity[]> {
  return withClients(config, named, async ({ db, clients, organizations }) => {
    const found: Identity[] = [];
    for (const client of clients) {
      const access = organizations.find(client.organizationId)?.access;
      if (access) found.push(await identify(db, client, access));
    }
    return found;
  });
}

async function identify(db: Database, client: ZohoClient, access: ZohoAccess): Promise<Identity> {
  const { organizationId: organization_id } = client;
  const { apiDomain } = await client.tokens.get();
  const organizations = listedOrganizations((await client.get('books', '/organizations', {}, TURN, SCOPE)).body);
  const scopes = await grantedScopes(db, credentialOf(access));
  return {
    ...{ organization_id, account: await accountOf(client), data_centre: access.addresses.dc },
    ...{ accounts_url: accountsUrl(access.addresses), api_url: apiBase('books', access.addresses, apiDomain) },
    ...{ organizations, reachable: organizations.some(({ id }) => id === organization_id) },
    ...{ scopes, missing_scopes: scopes === null ? [] : missingScopes(scopes) },
  };
}

/** Who signed the grant. A token without that scope is no less of use. */
async function accountOf(client: ZohoClient): Promise<string | null> {
  try {
    const { user } = (await client.get('books', '/users/me', {}, TURN, SCOPE)).body;
    if (!isObject(user)) return null;
    const [name, email] = [text(user.name), text(user.email)];
    return email === '' ? name || null : `${name} <${email}>`.trim();
  } catch (error) {
    if (error instanceof ZohoError && error.permanent) return null;
    throw error;
  }
}
