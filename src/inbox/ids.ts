import type { BooksModule } from '../zoho/modules/modules.ts';
import { type JsonObject, sourceOf } from './json-object.ts';

/** Ids are decimal digits in Zoho; anything this long is a mistake, and would not fit an index. */
export const MAX_ID_LENGTH = 100;

/** What no id looks like: zero, control characters, a placeholder that Zoho did not fill in. */
const NO_ID = /^0+$|\p{Cc}|^\$\{/u;

/** An id as clean text, or null when the text cannot be one. */
export function usableId(text: string): string | null {
  const id = text.trim();
  const refused = id === '' || id.length > MAX_ID_LENGTH || NO_ID.test(id) || !id.isWellFormed();
  return refused ? null : id;
}

/** The id in a member, as text without losing a digit (numbers are read from the source), or null. */
export function idIn(object: JsonObject, field: string): string | null {
  const value = object.fields[field];
  if (typeof value === 'string') return usableId(value);
  if (typeof value !== 'number') return null;
  const source = sourceOf(object, field) ?? '';
  return /^[1-9]\d*$/.test(source) ? usableId(source) : null;
}

/** The record's own id under any of the module's names for it, or null. */
export function recordId(record: JsonObject, module: BooksModule): string | null {
  for (const field of module.idFields) {
    const id = idIn(record, field);
    if (id !== null) return id;
  }
  return null;
}
