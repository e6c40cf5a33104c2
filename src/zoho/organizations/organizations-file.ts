/** The file of ZOHO_ORGANIZATIONS_FILE: several organizations, each with its own access and webhook secrets. */
import { readFileSync } from 'node:fs';
import * as value from '../../config/values.ts';
import type { Config } from '../../config.ts';
import { isObject } from '../../inbox/json-object.ts';
import type { Organization, ZohoAccess } from './organizations.ts';

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

/** Reads the file. Everything that is wrong with it is added to `problems`, a sentence each, and no secret is quoted. */
export function organizationsFromFile(config: Config, problems: string[]): Organization[] {
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
