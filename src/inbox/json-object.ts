import { indexMembers, type MemberIndex, scan } from './scan.ts';
import { Unusable } from './unusable.ts';

/** Real records have some 200 fields; a body is refused beyond this, before a parser spends time on it. */
const MAX_FIELDS = 10_000;

/** A JSON object together with its own source text, so that nothing of it is lost to JavaScript's numbers. */
export type JsonObject = {
  text: string;
  fields: Record<string, unknown>;
  /** Scan.members of `text`, where a scan has been made already. */
  members?: readonly number[];
  /** Made at the first look-up; an object may hold thousands of keys that are asked for one after the other. */
  index?: MemberIndex;
  needsSanitising: boolean;
};

/** Reads text as one JSON object. Throws Unusable with the reason when it is not one, or not a safe one. */
export function readObject(untrimmed: string): JsonObject {
  const text = untrimmed.trim();
  const { problem, hasUnicodeEscape, needsSanitising, members } = scan(text);
  if (problem !== null) throw new Unusable(problem);
  if (members.length / 4 > MAX_FIELDS)
    throw new Unusable(`the body has more than ${MAX_FIELDS} fields; send one record`);
  const fields = parse(text);
  if (!isObject(fields)) throw new Unusable(`the body is ${describe(fields)}; a record must be a JSON object`);
  if ((hasUnicodeEscape || mayPollute(text)) && pollutes(fields)) {
    throw new Unusable('the body has a key that would alter a JavaScript prototype; remove that key');
  }
  return { text, fields, members, needsSanitising };
}

/** The source text of one member's value, digit for digit; undefined when the object has no such member. */
export function sourceOf(object: JsonObject, key: string): string | undefined {
  object.index ??= indexMembers(object.text, object.members ?? scan(object.text).members);
  const at = object.index.get(key);
  return at && object.text.slice(...at).trim();
}

/** Whether a value is a JSON object: no array, no null. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // Only the position is repeated: the parser's own message quotes the payload.
    const position = /position (\d+)/.exec(String(error))?.[1];
    const where = position === undefined ? '' : ` at character ${position}`;
    throw new Unusable(`the body is not valid JSON${where}; choose Default Payload, or quote \${JSONString} correctly`);
  }
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'an array' : `a bare ${typeof value}`;
}

function mayPollute(text: string): boolean {
  return text.includes('__proto__') || (text.includes('constructor') && text.includes('prototype'));
}

function pollutes(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  const made = Object.hasOwn(value, 'constructor') ? (value as { constructor: unknown }).constructor : null;
  if (isObject(made) && Object.hasOwn(made, 'prototype')) return true;
  return Object.values(value).some(pollutes);
}
