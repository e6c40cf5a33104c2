/** The organizations of Zoho Books that this system knows: one from plain settings, or several from a file. */
import { readFileSync } from 'node:fs';
import { type Config, ConfigError } from '../config.ts';
import * as value from '../config-values.ts';
import { isObject } from '../inbox/json-object.ts';
import type { Addresses } from './addresses.ts';

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

/** Fields of an entry that may stand in a file of their own: `client_secret_file` instead of `client_secret`. */
const MAY_STAND_IN_FILE = ['client_id', 'client_secret', 'refresh_token', 'webhook_secret'] as const;
const OTHER_FIELDS = ['dc', 'accounts_url', 'api_url', 'inventory_api_url'] as const;
const NUMBERS = ['calls_per_minute', 'calls_in_flight'] as const;

const KNOWN_FIELDS = new Set<string>([
  'organization_id',
  ...MAY_STAND_IN_FILE,
  ...MAY_STAND_IN_FILE.map((field) => `${field}_file`),
  ...OTHER_FIELDS,
  ...NUMBERS,
]);

type Entry = Record<string, unknown>;

export class Organizations {
  readonly list: readonly Organization[];
  /** Where a delivery belongs that names no organization. */
  readonly defaultId: string;
  readonly #sharedSecrets: string[];

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
   * does not mean "unsigned is fine": ask `demandsSecret` for that.
   */
  secretsFor(id: string): string[] {
    const own = this.find(id)?.webhookSecrets ?? [];
    return own.length > 0 ? own : this.#sharedSecrets;
  }

  /** Whether any webhook secret is configured: then a delivery for which there is none is not authentic. */
  get demandsSecret(): boolean {
    return this.#sharedSecrets.length > 0 || this.list.some(({ webhookSecrets }) => webhookSecrets.length > 0);
  }
}

/** Reads the organizations of a configuration. Throws one ConfigError that lists every problem. */
export function organizationsOf(config: Config): Organizations {
  const problems: string[] = [];
  const list = config.zohoOrganizationsFile === undefined ? fromSettings(config, problems) : fromFile(config, problems);
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

function fromFile(config: Config, problems: string[]): Organization[] {
  if (config.zohoRefreshToken !== undefined)
    problems.push('ZOHO_REFRESH_TOKEN and ZOHO_ORGANIZATIONS_FILE are both set: remove one.');
  const entries = readEntries(config.zohoOrganizationsFile ?? '', problems);
  const list = entries.map((entry, index) => readEntry(entry, `organization ${index + 1}`, config, problems));
  const ids = list.map(({ id }) => id);
  const twice = ids.find((id, index) => id !== '' && ids.indexOf(id) !== index);
  if (twice !== undefined) problems.push(`ZOHO_ORGANIZATIONS_FILE names organization ${twice} twice: remove one.`);
  return list;
}

function readEntries(file: string, problems: string[]): Entry[] {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const entries = isObject(content) ? content.organizations : content;
    if (Array.isArray(entries) && entries.length > 0 && entries.every(isObject)) return entries;
    problems.push('ZOHO_ORGANIZATIONS_FILE must hold {"organizations": [{"organization_id": "…", …}, …]}.');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // The parser's own message quotes the text, and with it perhaps a secret.
    problems.push(`ZOHO_ORGANIZATIONS_FILE ${code ? `cannot be read (${code})` : 'is not valid JSON'}.`);
  }
  return [];
}

function readEntry(entry: Entry, position: string, config: Config, problems: string[]): Organization {
  const id = typeof entry.organization_id === 'string' ? entry.organization_id.trim() : '';
  const where = `ZOHO_ORGANIZATIONS_FILE, ${id === '' ? position : `organization ${id}`}:`;
  const complain = (sentence: string) => problems.push(`${where} ${sentence}.`);
  if (id === '') complain('organization_id must be a string, in quotation marks so that no digit is lost');
  for (const field of Object.keys(entry))
    if (!KNOWN_FIELDS.has(field)) complain(`${field} is not a field; there are ${[...KNOWN_FIELDS].join(', ')}`);
  const read = fieldReader(entry, complain);
  const webhookSecrets = read('webhook_secret', value.secrets) ?? [];
  return { id, webhookSecrets, access: readAccess(read, config, complain) };
}

type Complain = (sentence: string) => unknown;
type ReadField = <T>(field: string, parse: (text: string) => T) => T | undefined;

/** Reads one field of an entry, or its file, through the reader that the setting of the same meaning has. */
function fieldReader(entry: Entry, complain: Complain): ReadField {
  return (field, parse) => {
    const text = textOf(entry, field, complain);
    if (text === undefined) return undefined;
    try {
      return parse(text);
    } catch (error) {
      complain(`${field} ${(error as Error).message}`);
      return undefined;
    }
  };
}

function textOf(entry: Entry, field: string, complain: Complain): string | undefined {
  const given = entry[field];
  const file = entry[`${field}_file`];
  if (given !== undefined && file !== undefined) complain(`${field} and ${field}_file are both there; remove one`);
  if (typeof file === 'string') return contentOf(file, `${field}_file`, complain);
  if (given === undefined || typeof given === 'number') return given === undefined ? undefined : String(given);
  if (typeof given === 'string' && given.trim() !== '') return given.trim();
  complain(`${field} must be a text that is not empty`);
  return undefined;
}

function contentOf(file: string, field: string, complain: Complain): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    complain(`${field} names a file that cannot be read (${(error as NodeJS.ErrnoException).code})`);
    return undefined;
  }
}

function readAccess(read: ReadField, config: Config, complain: Complain): ZohoAccess | null {
  const [clientId, clientSecret, refreshToken] = ['client_id', 'client_secret', 'refresh_token'].map((field) =>
    read(field, value.text),
  );
  const addresses = {
    dc: read('dc', value.oneOf(...value.DATA_CENTRES)) ?? config.zohoDc,
    accountsUrl: read('accounts_url', value.zohoUrl) ?? config.zohoAccountsUrl,
    apiUrl: read('api_url', value.zohoUrl) ?? config.zohoApiUrl,
    inventoryApiUrl: read('inventory_api_url', value.zohoUrl) ?? config.zohoInventoryApiUrl,
  };
  const callsPerMinute = read('calls_per_minute', value.integer(1, 1_000_000)) ?? config.zohoCallsPerMinute;
  const callsInFlight = read('calls_in_flight', value.integer(1, 1000)) ?? config.zohoCallsInFlight;
  if (clientId === undefined && clientSecret === undefined && refreshToken === undefined) return null;
  if (!clientId || !clientSecret || !refreshToken) {
    complain('client_id, client_secret and refresh_token belong together: give all three, or none to pull nothing');
    return null;
  }
  return { addresses, clientId, clientSecret, refreshToken, callsPerMinute, callsInFlight };
}

/** loadConfig() leaves this question to us when there is a file of organizations. */
function openDoors(config: Config, list: readonly Organization[]): string[] {
  const shared = config.webhookSecrets.length > 0 || config.webhookToken.length > 0;
  if (shared || (config.nodeEnv !== 'production' && value.isLoopback(config.host))) return [];
  return list
    .filter(({ webhookSecrets }) => webhookSecrets.length === 0)
    .map(({ id }) => `Organization ${id} has no webhook_secret: give it one, or set ZOHO_WEBHOOK_SECRET.`);
}
