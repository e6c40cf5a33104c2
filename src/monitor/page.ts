import { type RawBuilder, sql } from 'kysely';

/** Where a page ends: the exact time of its last row, as PostgreSQL prints it, and the row's id. */
export type Position = { at: string; id: string };

/**
 * Longest text of an error in a list, in characters. Errors are cut when they are written, too; a list must stay small
 * whatever a hand in psql has left in the table.
 */
const MAX_ERROR_CHARACTERS = 2000;

/** A page ends here, in bytes: 200 bodies of a megabyte would take a gigabyte of the API's memory. */
export const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** An error's text, cut for a list. */
export function shortError(column: string): RawBuilder<string> {
  return sql<string>`left(${sql.ref(column)}, ${sql.lit(MAX_ERROR_CHARACTERS)})`;
}

/** True for the rows behind a position, where the latest come first. */
export function isBehind(position: Position, time: string, id: string): RawBuilder<boolean> {
  return sql<boolean>`(${sql.ref(time)}, ${sql.ref(id)}) < (${position.at}::timestamptz, ${position.id}::uuid)`;
}
