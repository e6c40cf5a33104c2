/** What a sender makes us read, of any size, on the paths where a careless reader goes back and forth. */
import type { FastifyRequest } from 'fastify';
import { localUrl } from '../../src/api/base-path.ts';
import { mayBeAuthentic, proofOf } from '../../src/api/webhook-proof.ts';
import { isCheckCallBody } from '../../src/inbox/body.ts';
import { parseDelivery } from '../../src/inbox/parse.ts';
import { sanitise, scan } from '../../src/inbox/scan.ts';
import { cleanMetadata } from '../../src/log-clean.ts';
import type { Works } from '../steps.ts';
import { invoice } from './bodies.ts';

const FORM = 'application/x-www-form-urlencoded';
const filled = (piece: string, size: number) => piece.repeat(Math.ceil(size / piece.length)).slice(0, size);

const scanned =
  (piece: string, start = '') =>
  (size: number) => {
    const text = start + filled(piece, size);
    return () => scan(text);
  };

const parsed =
  (
    bodyOf: (size: number) => string,
    { contentType = 'application/json', module = undefined as string | undefined } = {},
  ) =>
  (size: number) => {
    const body = Buffer.from(bodyOf(size));
    const input = { body, contentType, method: 'POST', defaultOrganization: 'x', ...(module ? { module } : {}) };
    return () => parseDelivery(input);
  };

/** Keys that all fit one module in some spelling, each holding what is no single record. */
function spellings(count: number): string {
  const name = 'customerpayment';
  return Array.from({ length: count }, (_, n) => {
    const key = [...name].map((letter, place) => ((n >> place) & 1 ? letter.toUpperCase() : letter)).join('');
    return `"${key}":[{},{}]`;
  }).join();
}

const proof = { webhookSecrets: ['a-secret-of-the-tests'], webhookToken: [], webhookAuth: 'either' as const };

const proved = (urlOf: (size: number) => string, bodyOf: (size: number) => string) => (size: number) => {
  const headers = { 'x-zoho-webhook-signature': 'a'.repeat(64), 'content-type': FORM };
  const request = { headers, url: urlOf(size) } as unknown as FastifyRequest;
  const body = Buffer.from(bodyOf(size));
  return () => mayBeAuthentic(request, proof) && proofOf(request, body, proof);
};

export const works: Works = {
  'quotes in JSON': scanned('"'),
  'signs in JSON': scanned('-'),
  'backslashes in JSON': scanned('\\', '"'),
  'escapes in JSON': scanned('\\u0041', '{"a":"'),
  'halves of surrogate pairs': (size) => {
    const text = filled('\\ud83d\\u0000\\ud83d', size);
    return () => sanitise(text);
  },
  'braces in JSON': scanned('{"a":1,'),
  'numbers in JSON': scanned('1e1,', '['),
  'leftovers at the end of a URL': (size) => () => localUrl(`/webhooks/zoho-books/${'&'.repeat(size)}x`, '/tds'),
  'nothing but leftovers in a URL': (size) => () => localUrl(`/${'?&'.repeat(size / 2)}`, '/tds'),
  'leftovers all over a URL': (size) => () => localUrl(filled('/a&&??', size), '/tds'),
  'slashes of a URL': (size) => () => localUrl(`http://${'/'.repeat(size)}`, '/tds'),
  'a check call that never ends': (size) => () =>
    isCheckCallBody(Buffer.from(`{"payload":"${' '.repeat(size)}`), 'a/json'),
  'a body of text': parsed((size) => invoice(`"notes":"${'x'.repeat(size)}"`)),
  'a body of fields': parsed((size) => invoice(Array.from({ length: size / 10 }, (_, n) => `"key_${n}":${n}`).join())),
  'a body of lines': parsed((size) =>
    invoice(`"line_items":[${filled('{"rate":1},', size - (size % 11)).slice(0, -1)}]`),
  ),
  'spellings of a module': parsed((size) => `{${spellings(size / 100)}}`, { module: 'customerpayment' }),
  'spellings of a module in an envelope': parsed((size) => `{"payload":{${spellings(size / 100)}}}`, {
    module: 'customerpayment',
  }),
  'a form of one field': parsed((size) => `JSONString=${'%20'.repeat(size / 3)}`, { contentType: FORM }),
  'a form of many fields': parsed((size) => filled('a&', size), { contentType: FORM }),
  'envelopes in envelopes': parsed((size) => `${filled('{"a":', size)}`),
  'a signed form of many fields': proved(
    () => '/',
    (size) => filled('a&', size),
  ),
  'a signed form of escapes': proved(
    () => '/',
    (size) => filled('%41', size),
  ),
  'a signed query of many fields': proved(
    (size) => `/?${filled('a&', size)}`,
    () => '',
  ),
  'a line of the log': (size) => {
    const text = filled('a@a.a //a:b:c//a:b +964 770 ((((281)) Bearer ', size);
    return () => cleanMetadata({ text, list: [text], error: new Error(text) });
  },
};
