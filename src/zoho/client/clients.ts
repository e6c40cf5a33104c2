/** One client per organization with access to Zoho, over one key: what a process needs to pull. */
import type { Config } from '../../config.ts';
import type { Database } from '../../db/database.ts';
import { type Organizations, organizationsOf } from '../organizations/organizations.ts';
import { tokenKey } from '../tokens/token-key.ts';
import { type ClientOptions, ZohoClient } from './client.ts';

/** The clients by organization id. Throws ConfigError when organizations or key cannot be used. */
export function createClients(
  db: Database,
  config: Config,
  options: Omit<Partial<ClientOptions>, 'db' | 'key' | 'organizationId' | 'access'> = {},
  organizations: Organizations = organizationsOf(config),
): Map<string, ZohoClient> {
  const clients = new Map<string, ZohoClient>();
  for (const { id: organizationId, access } of organizations.list) {
    // No key is made where nothing is pulled.
    if (access === null) continue;
    clients.set(organizationId, new ZohoClient({ db, key: tokenKey(config), organizationId, access, ...options }));
  }
  return clients;
}
