import { type DATA_CENTRES, zohoUrl } from '../../config/values.ts';

export type DataCentre = (typeof DATA_CENTRES)[number];

/** Which of Zoho's products serves a module: inventory adjustments are not part of Zoho Books. */
export type Api = 'books' | 'inventory';

/** Where one organization's calls go. What is set here wins over the data centre and over a token's `api_domain`. */
export type Addresses = {
  dc: DataCentre;
  accountsUrl?: string | undefined;
  /** With `/books/v3`. */
  apiUrl?: string | undefined;
  /** With `/inventory/v1`. */
  inventoryApiUrl?: string | undefined;
};

/**
 * Hosts per data centre, each written out: they follow no rule (Canada's accounts are on zohocloud.ca). Source: Zoho's
 * multi-DC pages and OAuth page; `uk` is not documented for Books and stands for what its name suggests.
 */
const HOSTS: Record<DataCentre, { accounts: string; api: string }> = {
  us: { accounts: 'https://accounts.zoho.com', api: 'https://www.zohoapis.com' },
  eu: { accounts: 'https://accounts.zoho.eu', api: 'https://www.zohoapis.eu' },
  in: { accounts: 'https://accounts.zoho.in', api: 'https://www.zohoapis.in' },
  au: { accounts: 'https://accounts.zoho.com.au', api: 'https://www.zohoapis.com.au' },
  jp: { accounts: 'https://accounts.zoho.jp', api: 'https://www.zohoapis.jp' },
  ca: { accounts: 'https://accounts.zohocloud.ca', api: 'https://www.zohoapis.ca' },
  cn: { accounts: 'https://accounts.zoho.com.cn', api: 'https://www.zohoapis.com.cn' },
  sa: { accounts: 'https://accounts.zoho.sa', api: 'https://www.zohoapis.sa' },
  uk: { accounts: 'https://accounts.zoho.uk', api: 'https://www.zohoapis.uk' },
};

const API_PATHS: Record<Api, string> = { books: '/books/v3', inventory: '/inventory/v1' };

/** The accounts server, without a slash at the end; tokens come from `/oauth/v2/token` below it. */
export function accountsUrl({ dc, accountsUrl: given }: Addresses): string {
  return withoutSlash(given ?? HOSTS[dc].accounts);
}

/**
 * The base of an API's paths: the setting, else the domain that came with the token (Zoho's own word on where the
 * account lives), else the data centre's host.
 */
export function apiBase(api: Api, addresses: Addresses, apiDomain: string | null): string {
  const given = api === 'books' ? addresses.apiUrl : addresses.inventoryApiUrl;
  if (given !== undefined) return withoutSlash(given);
  return withoutSlash(apiDomain ?? HOSTS[addresses.dc].api) + API_PATHS[api];
}

/**
 * `api_domain` of a token's answer when a token may be sent there: https, or http on this machine. Anything else would
 * send the token in clear, so it counts as absent.
 */
export function usableApiDomain(value: unknown): string | null {
  try {
    return new URL(zohoUrl(String(value))).origin;
  } catch {
    return null;
  }
}

function withoutSlash(url: string): string {
  return url.replace(/(?<!\/)\/+$/, '');
}
