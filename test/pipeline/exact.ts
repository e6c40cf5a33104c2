/** Compares records digit by digit: JSON.parse alone would round ids and money before anybody could see it. */

/** Parses JSON with every number as the text it was written in. */
export function parseExactly(json: string): Record<string, unknown> {
  const keepDigits = (_key: string, value: unknown, context?: { source?: string }) =>
    typeof value === 'number' ? `number ${context?.source}` : value;
  return JSON.parse(json, keepDigits as (key: string, value: unknown) => unknown);
}

/**
 * What a typed view shows for a record: blanks as null, times in UTC, all else as in the sample. Only of the fields
 * that the view has; `row` and `record` come from parseExactly.
 */
export function expectedRow(row: Record<string, unknown>, record: Record<string, unknown>): Record<string, unknown> {
  const shared = Object.keys(record).filter((field) => field in row);
  return Object.fromEntries(shared.map((field) => [field, expectedValue(record[field])]));
}

export function pick(row: Record<string, unknown>, fields: string[]): Record<string, unknown> {
  return Object.fromEntries(fields.map((field) => [field, row[field]]));
}

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}$/;

function expectedValue(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  if (value.trim() === '') return null;
  return TIME.test(value) ? new Date(value).toISOString().replace('.000Z', '+00:00') : value;
}
