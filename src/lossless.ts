/** JSON.rawJSON and a reviver's `source`: ECMAScript proposal json-parse-with-source, in Node from 22 on. */
type Json = typeof JSON & { rawJSON(text: string): unknown; isRawJSON(value: unknown): boolean };
type Reviver = (key: string, value: unknown, context: { source?: string }) => unknown;

/** Parses JSON so that JSON.stringify writes every number as it was: ids and amounts have more digits than a double. */
export function parseLossless(text: string): unknown {
  const keep: Reviver = (_key, value, { source }) =>
    typeof value === 'number' && source !== undefined && String(value) !== source
      ? (JSON as Json).rawJSON(source)
      : value;
  return JSON.parse(text, keep as Parameters<typeof JSON.parse>[1]);
}

/** Whether a value of parseLossless is a number, of whatever length. */
export function isNumber(value: unknown): boolean {
  return typeof value === 'number' || (JSON as Json).isRawJSON(value);
}
