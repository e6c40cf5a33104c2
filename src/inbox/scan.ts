/** Deepest nesting accepted: real records need about 6 levels; JSON.stringify dies at 4,184 and jsonb at some 20,000. */
const MAX_DEPTH = 64;
/** Bounds on one number: `1e130000` is 8 bytes on the wire and 130 kB when PostgreSQL prints it. */
const MAX_EXPONENT = 400;
const MAX_DIGITS = 1000;

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPEN_ARRAY = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_ARRAY = 0x5d;
const LETTER_U = 0x75;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** What one pass over JSON text found, before anything has parsed it. */
export type Scan = {
  /** Why the text must not be parsed, or null. */
  problem: string | null;
  /** Text contains a `\u` escape, so a key may be spelled in disguise. */
  hasUnicodeEscape: boolean;
  /** Text contains what jsonb refuses: `\u0000` or half of a surrogate pair, escaped or raw. */
  needsSanitising: boolean;
  /** Source offsets of the top-level members, four per member: key start, key end, value start, value end. */
  members: number[];
};

/**
 * Walks JSON text once, in linear time and without recursion (about 2 ns per character), and reports what a parser or
 * PostgreSQL would choke on. It does not validate: text that is not JSON gets an arbitrary but harmless answer.
 */
export function scan(text: string): Scan {
  const found: Scan = { problem: null, hasUnicodeEscape: false, needsSanitising: false, members: [] };
  const { members } = found;
  let depth = 0;
  let keyStart = 0;
  let keyEnd = 0;
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) {
      keyStart = at;
      at = keyEnd = endOfString(text, at, found);
      continue;
    }
    if (code === MINUS || (code >= ZERO && code <= NINE)) {
      const end = endOfNumber(text, at);
      found.problem ??= numberProblem(text, at, end);
      at = end;
      continue;
    }
    if (code === OPEN_OBJECT || code === OPEN_ARRAY) {
      if (++depth > MAX_DEPTH) return tooDeep(found);
    } else if (depth === 1 && code === COLON) {
      members.push(keyStart, keyEnd, at + 1);
    } else if (code === COMMA || code === CLOSE_OBJECT || code === CLOSE_ARRAY) {
      if (depth === 1 && members.length % 4 === 3) members.push(at);
      if (code !== COMMA) depth--;
    }
    at++;
  }
  return found;
}

/** Where in its source text the value of each member of an object stands: start and end. */
export type MemberIndex = ReadonlyMap<string, readonly [start: number, end: number]>;

/**
 * Indexes what `scan` found, so that any number of members can be looked up in linear time altogether. Where a key is
 * repeated the last one wins, as in JSON.parse and jsonb. `text` must be an object that JSON.parse accepted.
 */
export function indexMembers(text: string, members: readonly number[]): MemberIndex {
  const index = new Map<string, readonly [number, number]>();
  for (let i = 0; i + 3 < members.length; i += 4) {
    const source = text.slice(members[i], members[i + 1]);
    const name = source.includes('\\') ? JSON.parse(source) : source.slice(1, -1);
    index.set(name, [members[i + 2] ?? 0, members[i + 3] ?? 0]);
  }
  return index;
}

/** The source text of one member's value, digit for digit, or undefined; for more than one, index them. */
export function memberSource(text: string, members: readonly number[], key: string): string | undefined {
  const at = indexMembers(text, members).get(key);
  return at && text.slice(...at).trim();
}

/** JSON text that jsonb accepts: `\u0000` and unpaired surrogates, escaped or raw, become U+FFFD; all else is kept. */
export function sanitise(json: string): string {
  // Pairs and other escapes are matched first so that the lone halves and NULs are what remains.
  const escapes = /\\u[dD][89abAB]..\\u[dD][c-fC-F]..|\\u(0000|[dD][89a-fA-F]..)|\\./g;
  return json.toWellFormed().replace(escapes, (kept, refused) => (refused === undefined ? kept : '\\ufffd'));
}

function endOfString(text: string, start: number, found: Scan): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) at = endOfEscape(text, at, found);
    else if (code >= 0xd800 && code <= 0xdfff) at = endOfRawSurrogate(text, at, found);
  }
  return text.length;
}

/** Index of the last character of the escape that begins at `at`, the second half of a surrogate pair included. */
function endOfEscape(text: string, at: number, found: Scan): number {
  if (text.charCodeAt(at + 1) !== LETTER_U) return at + 1;
  found.hasUnicodeEscape = true;
  const code = escapedCode(text, at);
  if (isHighSurrogate(code) && isLowSurrogate(escapedCode(text, at + 6))) return at + 11;
  if (code === 0 || isHighSurrogate(code) || isLowSurrogate(code)) found.needsSanitising = true;
  return at + 5;
}

function endOfRawSurrogate(text: string, at: number, found: Scan): number {
  if (isHighSurrogate(text.charCodeAt(at)) && isLowSurrogate(text.charCodeAt(at + 1))) return at + 1;
  found.needsSanitising = true;
  return at;
}

/** Code unit of the `\uXXXX` escape at `at`, NaN when there is none. */
function escapedCode(text: string, at: number): number {
  if (text.charCodeAt(at) !== BACKSLASH || text.charCodeAt(at + 1) !== LETTER_U) return Number.NaN;
  return Number(`0x${text.slice(at + 2, at + 6)}`);
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}

function isLowSurrogate(code: number): boolean {
  return code >= 0xdc00 && code <= 0xdfff;
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && isNumberCode(text.charCodeAt(at))) at++;
  return at;
}

function isNumberCode(code: number): boolean {
  return (code >= ZERO && code <= NINE) || '+-.eE'.includes(String.fromCharCode(code));
}

function numberProblem(text: string, start: number, end: number): string | null {
  // The shortest number that can be absurd is 1e401: nearly all are shorter, and cost nothing here.
  if (end - start < 5) return null;
  if (end - start > MAX_DIGITS) return `a number has more than ${MAX_DIGITS} digits; remove it from the payload`;
  const exponent = /e(.*)/i.exec(text.slice(start, end))?.[1];
  if (exponent === undefined || Math.abs(Number(exponent)) <= MAX_EXPONENT) return null;
  return `a number has an exponent beyond ±${MAX_EXPONENT}; remove it from the payload`;
}

function tooDeep(found: Scan): Scan {
  return { ...found, problem: `the body nests deeper than ${MAX_DEPTH} levels; send the record itself, not a tree` };
}
