import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { formFields, hasMoreThan, isForm } from './body.ts';

export type SignedRequest = {
  /** Value of X-Zoho-Webhook-Signature. */
  header: string | undefined;
  /** The URL's query string as received, with or without its `?`. */
  query: string;
  contentType: string;
  /** The bytes as received. */
  body: Buffer;
  /** Secrets in force, newest first. */
  secrets: readonly string[];
};

type Pair = readonly [key: string, value: string];

const HEX_SHA256 = /^[0-9a-f]{64}$/i;
/** No URL of a webhook has a hundred parameters. */
const MAX_QUERY_FIELDS = 1000;

/** Whether a header value has the form of a signature at all. Cheap: it reads no body and knows no secret. */
export function isSignature(header: string | undefined): header is string {
  return header !== undefined && HEX_SHA256.test(header);
}

/**
 * Verifies Zoho's webhook signature: HMAC-SHA256 in hex (either case; base64 is refused) over the sorted query pairs and
 * form pairs, key and value run together, followed by the body unless it is a form. Returns the index of the secret
 * that matches, -1 when none does. Source: Zoho's help page "Securing webhooks" and its example.
 *
 * The scheme covers neither the path nor a time, and has no separators: nothing may be concluded from the query.
 */
export function verifySignature(request: SignedRequest): number {
  const { header, body, contentType, secrets } = request;
  if (!isSignature(header)) return -1;
  const expected = Buffer.from(header, 'hex');
  const prefixes = signedPrefixes(request);
  const rest = isForm(contentType) ? '' : body;
  return secrets.findIndex((secret) =>
    prefixes.some((prefix) => timingSafeEqual(sign(secret, prefix, rest), expected)),
  );
}

/** The signatures, in hex, that a secret gives for a request: one for each reading of its query. */
export function signaturesOf(request: Omit<SignedRequest, 'header' | 'secrets'>, secret: string): string[] {
  const rest = isForm(request.contentType) ? '' : request.body;
  return signedPrefixes(request).map((prefix) => sign(secret, prefix, rest).toString('hex'));
}

/**
 * Verifies the shared secret of a custom header, the simple alternative to a signature. Returns the index of the token
 * that matches, -1 when none does; takes the same time whatever was sent in it.
 */
export function verifyToken(header: string | undefined, tokens: readonly string[]): number {
  if (header === undefined) return -1; // most senders sign instead, and know that they sent none
  const sent = digest(header);
  // Every token is compared, so that the time does not tell which one was nearly right.
  const matches = tokens.map((token) => timingSafeEqual(digest(token), sent) && token !== '');
  return matches.indexOf(true);
}

function sign(secret: string, prefix: string, rest: string | Buffer): Buffer {
  return createHmac('sha256', secret).update(prefix).update(rest).digest();
}

function digest(text: string): Buffer {
  // Digests have one length, which timingSafeEqual demands.
  return hash('sha256', text, 'buffer');
}

/**
 * What may stand before the body in the signed string. Zoho does not say whether a query is signed decoded, nor how `+`
 * reads, so each reading is tried; all are under the same secret. A query without escapes, the usual case, has one.
 * A form or query with more fields than anybody sends has none: reading it would stall everybody before it is known who
 * sent it.
 */
function signedPrefixes({ query, contentType, body }: Omit<SignedRequest, 'header' | 'secrets'>): string[] {
  const form = isForm(contentType) ? formFields(body.toString('utf8')) : [];
  if (form === null || hasMoreThan(MAX_QUERY_FIELDS, '&', query)) return [];
  const readings = query === '' ? [[]] : readingsOf(query);
  return [...new Set(readings.map((reading) => concatenated([...reading, ...form])))];
}

function readingsOf(query: string): Pair[][] {
  return [[...new URLSearchParams(query)], pairs(query, decodedKeepingPlus), pairs(query, asSent)];
}

function concatenated(unsorted: Pair[]): string {
  // By UTF-16 code unit, as Java sorts; the sort is stable, so repeated keys stay in the order sent.
  const sorted = unsorted.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return sorted.map(([key, value]) => key + value).join('');
}

function pairs(query: string, read: (text: string) => string): Pair[] {
  const parts = query
    .replace(/^\?/, '')
    .split('&')
    .filter((part) => part !== '');
  return parts.map((part) => {
    const equals = part.indexOf('=');
    return equals < 0 ? [read(part), ''] : [read(part.slice(0, equals)), read(part.slice(equals + 1))];
  });
}

function decodedKeepingPlus(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function asSent(text: string): string {
  return text;
}
