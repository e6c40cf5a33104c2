/** The organizations of Zoho Books that this system knows: one from plain settings, or several from a file. */
import { randomBytes } from 'node:crypto';
import { isLoopback } from '../../config/values.ts';
import { type Config, ConfigError } from '../../config.ts';
import type { Addresses } from './addresses.ts';
import { organizationsFromFile } from './organizations-file.ts';

/** What it takes to call Zoho for an organization. */
export type ZohoAccess = {
  addresses: Addresses;
  clientId: string;
  clientSecret: string;
  refreshToken: string;
  /** In any sixty seconds, of all processes together. */
  callsPerMinute: number;
  callsInFlight: number;
};

export type Organization = {
  id: string;
  /** Secrets of its webhooks in force, newest first; empty: those of ZOHO_WEBHOOK_SECRET. */
  webhookSecrets: string[];
  /** Null: its webhooks are taken, but nothing is pulled. */
  access: ZohoAccess | null;
};

export class Organizations {
  readonly list: readonly Organization[];
  /** Where a delivery belongs that names no organization. */
  readonly defaultId: string;
  readonly #sharedSecrets: string[];
  readonly #nobodysSecret = randomBytes(32).toString('hex');

  constructor(list: readonly Organization[], defaultId: string, sharedSecrets: string[]) {
    this.list = list;
    this.defaultId = defaultId;
    this.#sharedSecrets = sharedSecrets;
  }

  find(id: string): Organization | undefined {
    return this.list.find((organization) => organization.id === id);
  }

  /**
   * The secrets that sign an organization's webhooks, newest first: its own, else those of ZOHO_WEBHOOK_SECRET. Empty
   * only where no secret is configured at all; where there is none for this organization, one that nobody knows, so
   * that no delivery can be authentic.
   */
  secretsFor(id: string): string[] {
    const own = this.find(id)?.webhookSecrets ?? [];
    if (own.length > 0) return own;
    const demanded = this.list.some(({ webhookSecrets }) => webhookSecrets.length > 0);
    return this.#sharedSecrets.length === 0 && demanded ? [this.#nobodysSecret] : this.#sharedSecrets;
  }
}

/** Reads the organizations of a configuration. Throws one ConfigError that lists every problem. */
export function organizationsOf(config: Config): Organizations {
  const problems: string[] = [];
  const list =
    config.zohoOrganizationsFile === undefined
      ? fromSettings(config, problems)
      : organizationsFromFile(config, problems);
  problems.push(...openDoors(config, list));
  if (problems.length > 0) throw new ConfigError(problems);
  const [only] = list;
  const named = config.defaultOrganization !== 'default' || list.length !== 1;
  return new Organizations(list, named ? config.defaultOrganization : (only?.id ?? 'default'), config.webhookSecrets);
}

function fromSettings(config: Config, problems: string[]): Organization[] {
  const { defaultOrganization: id, zohoClientId, zohoClientSecret, zohoRefreshToken } = config;
  const parts = {
    ZOHO_CLIENT_ID: zohoClientId,
    ZOHO_CLIENT_SECRET: zohoClientSecret,
    ZOHO_REFRESH_TOKEN: zohoRefreshToken,
  };
  const missing = Object.entries(parts).flatMap(([name, given]) => (given === undefined ? [name] : []));
  if (missing.length === 3) return [{ id, webhookSecrets: [], access: null }];
  if (missing.length > 0)
    problems.push(`${missing.join(' and ')} is not set: \`npm run zoho -- connect\` says where it comes from.`);
  if (id === 'default')
    problems.push('ZOHO_ORGANIZATION_ID is not set: set it to the id that `npm run zoho -- connect` lists.');
  const { zohoAccountsUrl, zohoApiUrl, zohoInventoryApiUrl } = config;
  const addresses = {
    dc: config.zohoDc,
    accountsUrl: zohoAccountsUrl,
    apiUrl: zohoApiUrl,
    inventoryApiUrl: zohoInventoryApiUrl,
  };
  const access = {
    addresses,
    clientId: zohoClientId ?? '',
    clientSecret: zohoClientSecret ?? '',
    refreshToken: zohoRefreshToken ?? '',
    callsPerMinute: config.zohoCallsPerMinute,
    callsInFlight: config.zohoCallsInFlight,
  };
  return [{ id, webhookSecrets: [], access }];
}

/**
 * Organizations without a secret where one is demanded: where strangers can reach us, and wherever others have one (a
 * delivery would only have to name the organization that has none).
 */
function openDoors(config: Config, list: readonly Organization[]): string[] {
  if (config.webhookSecrets.length > 0 || config.webhookToken.length > 0) return [];
  const open = list.filter(({ webhookSecrets }) => webhookSecrets.length === 0);
  const reachable = config.nodeEnv === 'production' || !isLoopback(config.host);
  if (!reachable && open.length === list.length) return [];
  return open.map(({ id }) => `Organization ${id} has no webhook_secret: give it one, or set ZOHO_WEBHOOK_SECRET.`);
}
