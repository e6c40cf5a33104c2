/**
 * How a setting's text becomes a value. Every reader throws an Error whose message completes "NAME ...": a sentence
 * that says what to write instead. None repeats the text it was given, because it may be a secret.
 */
import { createHash } from 'node:crypto';
import { BlockList, isIP } from 'node:net';
import { isLoopback } from '../loopback.ts';

export { isLoopback };

export type Role = 'viewer' | 'operator' | 'admin';

/** Somebody who may use the dashboard. Only the token's hash is kept: comparing hashes takes constant time. */
export type Operator = { name: string; role: Role; tokenSha256: Buffer };

/** Zoho's data centres: an account lives in one of them, and its tokens are worth nothing in another. */
export const DATA_CENTRES = ['us', 'eu', 'in', 'au', 'jp', 'ca', 'cn', 'sa', 'uk'] as const;

const ROLES: readonly Role[] = ['viewer', 'operator', 'admin'];
const MIN_SECRET_LENGTH = 12;

export const text = (value: string): string => value;

export function oneOf<const T extends string>(...allowed: T[]): (value: string) => T {
  return (value) => {
    const found = allowed.find((candidate) => candidate === value.toLowerCase());
    if (found === undefined) throw new Error(`must be one of ${allowed.join(', ')}`);
    return found;
  };
}

export function integer(min: number, max: number): (value: string) => number {
  return (value) => {
    if (!/^-?\d{1,15}$/.test(value) || Number(value) < min || Number(value) > max)
      throw new Error(`must be a whole number from ${min} to ${max}`);
    return Number(value);
  };
}

/** Seconds, fractions allowed. */
export function seconds(min: number, max: number): (value: string) => number {
  return (value) => {
    if (!/^\d{1,9}(\.\d{1,6})?$/.test(value) || Number(value) < min || Number(value) > max)
      throw new Error(`must be a number of seconds from ${min} to ${max}`);
    return Number(value);
  };
}

/** Lowest and highest value of each field: minute, hour, day of the month, month, day of the week. */
const CRON_FIELDS = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** A cron expression of five fields, or null for `off`. */
export function cron(value: string): string | null {
  if (value.toLowerCase() === 'off') return null;
  const fields = value.split(/\s+/);
  const valid = fields.length === CRON_FIELDS.length && CRON_FIELDS.every((range, n) => isCronField(fields[n], range));
  if (!valid)
    throw new Error('must be five fields of cron, such as */5 * * * * (minute hour day month weekday), or off');
  return fields.join(' ');
}

function isCronField(field = '', [min, max]: readonly [number, number]): boolean {
  return field.split(',').every((part) => {
    const [, from = '*', to = from, step = '1'] = /^(\*|\d{1,2})(?:-(\d{1,2}))?(?:\/(\d{1,2}))?$/.exec(part) ?? [
      '',
      'x',
    ];
    if (step === '0' || step === '00') return false;
    if (from === '*') return to === '*';
    return Number(from) >= min && Number(from) <= Number(to) && Number(to) <= max;
  });
}

/** '' or '/tds': a leading slash, no trailing one, so that routes can be appended. */
export function basePath(value: string): string {
  const path = value.replace(/(?<!\/)\/+$/, '');
  if (path !== '' && !/^(\/[A-Za-z0-9._~-]+)+$/.test(path)) throw new Error('must look like /tds');
  return path;
}

export function databaseUrl(value: string): string {
  if (!/^postgres(ql)?:\/\/./.test(value)) throw new Error('must look like postgresql://user:password@host:5432/name');
  return value;
}

export function redisUrl(value: string): string {
  if (!/^rediss?:\/\/./.test(value)) throw new Error('must look like redis://host:6379');
  return value;
}

/** A base address of Zoho's servers, without the slash at its end. Tokens travel there, so http only on this machine. */
export function zohoUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  const local = url !== undefined && isLoopback(url.hostname.replace(/^\[|\]$/g, ''));
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && local))
    throw new Error('must be a URL that begins with https:// (http:// only for 127.0.0.1 or localhost)');
  if (url.username || url.password) throw new Error('must not contain a user name or password');
  if (url.search || url.hash) throw new Error('must end with a path, without ? or #');
  return value.replace(/(?<!\/)\/+$/, '');
}

/**
 * Where notifications are sent; http only in a private network. That private targets must be allowed
 * (ALERT_WEBHOOK_ALLOW_PRIVATE) is judged with the contradictions, and again of the resolved address when sending.
 */
export function outgoingUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isPrivateHost(url.hostname)))
    throw new Error('must be a URL that begins with https:// (http:// only in a private network)');
  if (url.username || url.password) throw new Error('must not contain a user name or password');
  return value;
}

/** An address of ours for people: the beginning of every command in a notification, without the slash at its end. */
export function publicUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url?.protocol !== 'https:' && url?.protocol !== 'http:')
    throw new Error('must be a URL that begins with https://');
  if (url.username || url.password || url.search || url.hash)
    throw new Error('must have no user name, password, ? or #');
  return value.replace(/(?<!\/)\/+$/, '');
}

export function smtpUrl(value: string): string {
  if (!/^smtps?:\/\/./.test(value) || !URL.canParse(value))
    throw new Error('must look like smtps://user:password@mail.example.com or smtp://mail.example.com:587');
  return value;
}

export function mailAddresses(value: string): string {
  const valid = value.split(',').every((part) => {
    const [name, domain, ...rest] = part.trim().replace(/>$/, '').split('@');
    return name && domain && rest.length === 0 && !/[\s<>]/.test(domain);
  });
  if (!valid) throw new Error('must be an e-mail address, or several with commas between them');
  return value;
}

/** A five-field cron expression, in UTC; what it may say is node-cron's to judge when the worker starts. */
export function cronExpression(value: string): string {
  if (!/^[\d*/,-]+( [\d*/,a-zA-Z-]+){4}$/.test(value))
    throw new Error('must look like 0 6 * * * (minute hour day month weekday)');
  return value;
}

/** 'name=number,name=number' with known names. */
export function numbersByName(known: readonly string[]): (value: string) => Record<string, number> {
  return (value) => {
    const pairs = value.split(',').map((pair) => pair.split('=').map((part) => part.trim()));
    for (const [name = '', number = '', ...rest] of pairs) {
      if (!known.includes(name))
        throw new Error(`must be name=number, comma separated, with names of ${known.join(', ')}`);
      if (rest.length > 0 || !/^\d{1,9}(\.\d{1,6})?$/.test(number))
        throw new Error(`must give ${name} a number, 0 or more`);
    }
    return Object.fromEntries(pairs.map(([name, number]) => [name, Number(number)]));
  };
}

/** The same with whole days, from 1 to ten years: nobody means to keep something for no day at all. */
export function daysByName(known: readonly string[]): (value: string) => Record<string, number> {
  return (value) => {
    const days = numbersByName(known)(value);
    const wrong = Object.keys(days).find((name) => !(Number.isInteger(days[name]) && within(days[name] ?? 0, 1, 3650)));
    if (wrong) throw new Error(`must give ${wrong} a whole number of days from 1 to 3650`);
    return days;
  };
}

function within(number: number, min: number, max: number): boolean {
  return number >= min && number <= max;
}

export function flag(value: string): boolean {
  if (value !== '0' && value !== '1') throw new Error('must be 0 or 1');
  return value === '1';
}

/**
 * Keys of Standard Webhooks: base64 of 24 bytes or more, usually written with whsec_ before it; any other text of 12
 * characters or more is taken as it is. 'current' or 'current,previous'.
 */
export function signingSecrets(value: string): Buffer[] {
  return secrets(value).map((secret) => {
    const encoded = secret.replace(/^whsec_/, '');
    const decoded = Buffer.from(encoded, 'base64');
    if (decoded.length >= 24 && decoded.toString('base64') === encoded) return decoded;
    if (secret !== encoded) throw new Error('must have the base64 of 24 bytes or more behind whsec_');
    return Buffer.from(secret);
  });
}

/** 'current' or 'current,previous': both are accepted while a secret is being changed. */
export function secrets(value: string): string[] {
  const list = value.split(/[,\n]/).map((secret) => secret.trim());
  if (list.some((secret) => secret.length < MIN_SECRET_LENGTH))
    throw new Error(`must have at least ${MIN_SECRET_LENGTH} characters per secret (current, or current,previous)`);
  return list;
}

/** Like `secrets`, for secrets that travel in a header as they are. */
export function headerSecrets(value: string): string[] {
  const list = secrets(value);
  if (!list.every(isHeaderSafe)) throw new Error(`must consist of ${HEADER_SAFE}`);
  return list;
}

/** A header carries nothing else unchanged: clients encode or refuse it, and the token would never match. */
const HEADER_SAFE = 'ASCII letters, digits and punctuation, without spaces';

function isHeaderSafe(token: string): boolean {
  return /^[\x21-\x7e]+$/.test(token);
}

/** 'name:role:token', separated by commas or, in a file, by lines. */
export function operators(value: string): Operator[] {
  const entries = value.split(/[,\n]/).map((entry) => entry.trim());
  const list = entries.filter((entry) => entry !== '' && !entry.startsWith('#')).map(operator);
  if (list.length === 0) throw new Error('must name at least one operator as name:role:token');
  const distinct = (keys: string[]) => new Set(keys).size === list.length;
  if (!distinct(list.map((one) => one.name))) throw new Error('must not name an operator twice');
  if (!distinct(list.map((one) => one.tokenSha256.toString('hex')))) throw new Error('must not use a token twice');
  return list;
}

function operator(entry: string): Operator {
  const [name = '', role = '', ...rest] = entry.split(':');
  const token = rest.join(':');
  const known = ROLES.find((candidate) => candidate === role);
  if (!name || !known || token.length < MIN_SECRET_LENGTH)
    throw new Error(
      `must be a list of name:role:token with role viewer, operator or admin and a token of at least ${MIN_SECRET_LENGTH} characters`,
    );
  if (!isHeaderSafe(token)) throw new Error(`must have tokens of ${HEADER_SAFE}`);
  return { name, role: known, tokenSha256: createHash('sha256').update(token).digest() };
}

/** The proxies whose X-Forwarded-For is believed. `true` is refused: then anybody could forge an address. */
export function trustedProxies(value: string): string {
  const names = ['loopback', 'linklocal', 'uniquelocal'];
  const valid = value.split(',').every((part) => {
    const [address = '', prefix = '0'] = part.trim().split('/');
    return names.includes(part.trim()) || (isIP(address) !== 0 && /^\d{1,3}$/.test(prefix) && Number(prefix) <= 128);
  });
  if (!valid) throw new Error('must be loopback or a list of proxy addresses such as 10.0.0.5 or 10.0.0.0/24');
  return value;
}

const PRIVATE_NETWORKS = new BlockList();
for (const [network, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
  ['192.0.0.0', 24],
  ['198.18.0.0', 15],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
] as const)
  PRIVATE_NETWORKS.addSubnet(network, prefix, 'ipv4');
PRIVATE_NETWORKS.addAddress('::', 'ipv6');
PRIVATE_NETWORKS.addAddress('::1', 'ipv6');
PRIVATE_NETWORKS.addSubnet('fc00::', 7, 'ipv6');
PRIVATE_NETWORKS.addSubnet('fe80::', 10, 'ipv6');
PRIVATE_NETWORKS.addSubnet('ff00::', 8, 'ipv6');
// Translated addresses of version 4 (NAT64, 6to4), which may be any of the above.
PRIVATE_NETWORKS.addSubnet('64:ff9b::', 96, 'ipv6');
PRIVATE_NETWORKS.addSubnet('2002::', 16, 'ipv6');

/**
 * True for a loopback, link-local, private, multicast or reserved address or name. `new URL()` has already folded 127.1, 2130706433 and
 * full-width digits to dotted form; BlockList sees through ::ffff:127.0.0.1. Also asked of resolved addresses at send.
 */
export function isPrivateHost(hostname: string): boolean {
  const host = hostname
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
    .toLowerCase();
  const family = isIP(host);
  if (family === 0) return host === 'localhost' || host.endsWith('.localhost');
  return PRIVATE_NETWORKS.check(host, family === 4 ? 'ipv4' : 'ipv6');
}
