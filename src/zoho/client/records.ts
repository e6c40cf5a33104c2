/** Records as they stand in an answer, each with its own source text: no digit of an id or an amount is lost. */
import { hash } from 'node:crypto';
import { idIn } from '../../inbox/ids.ts';
import { type JsonObject, readObject, sourceOf } from '../../inbox/json-object.ts';
import { scan } from '../../inbox/scan.ts';
import { Unusable } from '../../inbox/unusable.ts';
import { readVersioning } from '../../inbox/version.ts';

/** A list row or a full record. */
export type ZohoRecord = JsonObject & {
  id: string;
  /** Its last change, else its creation, as it says itself; null when it says nothing. */
  version: Date | null;
  /** Whether it names its last change: a creation time alone orders nothing. */
  versioned: boolean;
  /** SHA-256 of the source text: rows with the same hash say the same. */
  hash: string;
};

/** Records of an answer, and why the others among them cannot be used. */
export type Records = { records: ZohoRecord[]; unusable: string[] };

const BACKSLASH = 0x5c;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPEN = new Set([0x7b, 0x5b]);
const CLOSE = new Set([0x7d, 0x5d]);

/**
 * The records under the first of `keys` that the answer has, or null when it has none of them, or none that is an
 * array: then this is not the answer to a list, and nothing may be concluded from it.
 */
export function recordsIn(answer: string, keys: readonly string[], idFields: readonly string[]): Records | null {
  const source = sourceUnder(answer, keys);
  if (!source?.startsWith('[')) return null;
  const found: Records = { records: [], unusable: [] };
  for (const text of elements(source)) {
    const record = readRecord(text, idFields);
    if (typeof record === 'string') found.unusable.push(record);
    else found.records.push(record);
  }
  return found;
}

/** The record under the first of `keys` that the answer has; null when there is none, a sentence when it is unusable. */
export function recordIn(
  answer: string,
  keys: readonly string[],
  idFields: readonly string[],
): ZohoRecord | string | null {
  const source = sourceUnder(answer, keys);
  return source?.startsWith('{') ? readRecord(source, idFields) : null;
}

function readRecord(text: string, idFields: readonly string[]): ZohoRecord | string {
  try {
    const object = readObject(text);
    const id = idFields.map((field) => idIn(object, field)).find((found) => found !== null);
    if (id === undefined) return `a record has no ${idFields[0]}`;
    const { version, versioned } = readVersioning(object.fields);
    return { ...object, id, version, versioned, hash: hash('sha256', object.text) };
  } catch (error) {
    if (error instanceof Unusable) return error.message;
    throw error;
  }
}

function sourceUnder(answer: string, keys: readonly string[]): string | undefined {
  const outer: JsonObject = { text: answer, fields: {}, members: scan(answer).members, needsSanitising: false };
  for (const key of keys) {
    const source = sourceOf(outer, key);
    if (source !== undefined) return source;
  }
  return undefined;
}

/** The source texts of an array's elements. The text must be valid JSON: it has been parsed before. */
export function elements(array: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let start = 1;
  for (let at = 0; at < array.length; at++) {
    const code = array.charCodeAt(at);
    if (code === QUOTE) at = endOfString(array, at);
    else if (OPEN.has(code)) depth++;
    else if (CLOSE.has(code)) depth--;
    const ends = (code === COMMA && depth === 1) || depth === 0;
    if (!ends) continue;
    const text = array.slice(start, at).trim();
    if (text !== '') found.push(text);
    start = at + 1;
    if (depth === 0) break;
  }
  return found;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text.charCodeAt(at) !== QUOTE) at += text.charCodeAt(at) === BACKSLASH ? 2 : 1;
  return at;
}
