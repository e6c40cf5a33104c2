/**
 * Takes people's data out of what is logged and kept about a failure. Messages and answers of other systems may repeat a
 * name, an address, a telephone number or an amount; what a developer needs are their words, keys and codes.
 */
import type { ErrorCause, ErrorDetail } from './detail.ts';
import { attempt } from './read.ts';

const HIDDEN = '…';

/** Fields of a record that name no person: ids, times and the words of the API. */
const IMPERSONAL_KEY = /(?:^|_)(?:id|status|time|date|type|code|number|module|action|event|source)$/i;
const SHORTEST_VALUE = 4;
const LONGEST_VALUE = 200;
const MAX_VALUES = 5000;

/** The texts and numbers of a record (JSON text, null when there is none) that may be somebody's; longest first. */
export function personalValues(record: string | null): string[] {
  const values = new Set<string>();
  const collect = (key: string, value: unknown, { source }: { source?: string } = {}) => {
    const text = typeof value === 'number' ? (source ?? String(value)) : value;
    if (typeof text === 'string' && isPersonal(key, text) && values.size < MAX_VALUES) values.add(text);
    return value;
  };
  // The raw text of a number: an amount of 10.50 is 10.5 once it is parsed.
  if (record !== null) attempt(() => JSON.parse(record, collect as (key: string, value: unknown) => unknown));
  return [...values].sort((a, b) => b.length - a.length);
}

function isPersonal(key: string, text: string): boolean {
  return text.length >= SHORTEST_VALUE && text.length <= LONGEST_VALUE && !IMPERSONAL_KEY.test(key);
}

const EMAIL = /(?<![\w.+-])[\w.+-]+@[\w.-]+/g;
const PHONE = /\+\d[\d ()/.-]{5,20}\d/g;
const AMOUNT = /(?<![\w.,])\d{1,12}(?:,\d{3}){0,4}\.\d{1,4}(?![\w.,]*\d)/g;

/** A message without e-mail addresses, telephone numbers, amounts and these values; ids stay. */
export function redact(message: string, values: readonly string[]): string {
  let text = message;
  for (const value of values) if (text.includes(value)) text = text.replaceAll(value, HIDDEN);
  return text.replace(EMAIL, HIDDEN).replace(PHONE, HIDDEN).replace(AMOUNT, HIDDEN);
}

/** The causes of an error without people's data; the stack consists of frames only and stays. */
export function redactDetail({ causes, ...rest }: ErrorDetail, values: readonly string[]): ErrorDetail {
  return { causes: causes.map((cause) => redactCause(cause, values)), ...rest };
}

function redactCause(cause: ErrorCause, values: readonly string[]): ErrorCause {
  const { message, body } = cause;
  const redacted = { ...cause, message: redact(message, values) };
  return body === undefined ? redacted : { ...redacted, body: redactBody(redact(body, values)) };
}

/** Keys of answers whose values name a fault, not a person: `source.pointer`, `code`. */
const TELLING_KEY = /^(?:code|status|status_?code|type|pointer|parameter|field|param|path|location|reason_?code)$/i;
const TELLING_VALUE = /^[\w./:[\]#$-]{1,100}$/;
const KEY = /^[\w.$:-]{1,64}$/;

/**
 * The body of a called system's answer: of JSON its keys, codes and pointers, and of its sentences the words in small
 * letters; of any other text only the latter. It may be cut off anywhere, so it is read token by token.
 */
export function redactBody(body: string): string {
  if (!/^\s*[[{]/.test(body)) return words(body);
  let key = '';
  let redacted = '';
  for (const token of tokensOf(body)) {
    if (token.kind === 'key') key = token.text;
    redacted += printToken(token, key);
  }
  return redacted;
}

type Token = { kind: 'key' | 'text' | 'literal' | 'mark'; text: string };

function printToken({ kind, text }: Token, key: string): string {
  const tells = TELLING_KEY.test(key) && TELLING_VALUE.test(text);
  if (kind === 'mark' || (kind === 'literal' && (tells || !/\d/.test(text)))) return text;
  if (kind === 'literal') return HIDDEN;
  if (kind === 'key') return `"${KEY.test(text) ? text : HIDDEN}":`;
  return `"${tells ? text : words(text)}"`;
}

function* tokensOf(json: string): Generator<Token> {
  for (let at = 0; at < json.length; ) {
    const char = json.charAt(at);
    if (char === '"') {
      const end = endOfText(json, at);
      const isKey = /^\s{0,20}:/.exec(json.slice(end + 1, end + 22));
      yield { kind: isKey ? 'key' : 'text', text: json.slice(at + 1, end) };
      at = end + 1 + (isKey?.[0].length ?? 0);
    } else if ('{}[],'.includes(char)) {
      yield { kind: 'mark', text: char };
      at += 1;
    } else {
      const [literal = ''] = /^[\w.+-]{1,100}/.exec(json.slice(at, at + 100)) ?? [];
      if (literal !== '') yield { kind: 'literal', text: literal };
      at += Math.max(1, literal.length);
    }
  }
}

function endOfText(json: string, start: number): number {
  let at = start + 1;
  while (at < json.length && json.charAt(at) !== '"') at += json.charAt(at) === '\\' ? 2 : 1;
  return Math.min(at, json.length);
}

const MAX_WORDS = 60;

/** What a sentence says without names: words in small letters stay, all others are hidden. */
function words(sentence: string): string {
  const shown = sentence
    .slice(0, 1000)
    .split(/\s/, MAX_WORDS)
    .filter((word) => word !== '')
    .map((word) => (/^[a-z'’-]{1,30}[.,:;!?]?$/.test(word) ? word : HIDDEN));
  return shown.join(' ').replaceAll(`${HIDDEN} ${HIDDEN}`, HIDDEN);
}
