import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type FieldState = 'new' | 'vanished' | 'unreadable' | 'known';

export type FieldOfModule = {
  module: string;
  field: string;
  states: FieldState[];
  first_seen_at: Date;
  last_seen_at: Date;
  /** Records of the samples that had it, and that lack it since it was seen last. */
  seen: number;
  missed: number;
  unreadable: number;
  unreadable_at: Date | null;
  /** A record whose text the view shows as null. */
  unreadable_entity_id: string | null;
};

/** It was in nine of ten records, and the last ENOUGH lack it. */
const ENOUGH = 20;
const VANISHED = sql`(seen >= ${sql.lit(ENOUGH)} and missed >= ${sql.lit(ENOUGH)} and seen * 10 >= offered * 9)`;

/** The fields of tds_fields that appeared, vanished or could not be read since then. */
export function driftingFields(since: RawBuilder<Date>): RawBuilder<unknown> {
  return sql`select * from tds_fields
    where new_since > ${since} or unreadable_at > ${since} or (${VANISHED} and last_seen_at > ${since})`;
}

/** So long something counts as news in the list. */
const NEWS = sql<Date>`now() - interval '30 days'`;
/** More fields than Zoho has; a custom body may invent more. */
export const MAX_FIELDS = 5000;

/** The fields of every module: those that changed in the last 30 days, or all; by module and name. */
export async function readFieldDrift(db: Database, all: boolean): Promise<FieldOfModule[]> {
  const from = all ? sql`select * from tds_fields` : driftingFields(NEWS);
  const { rows } = await sql<FieldOfModule & { is_new: boolean; is_vanished: boolean; is_unreadable: boolean }>`
    select module, field, first_seen_at, last_seen_at, seen::float8 as seen, missed::float8 as missed,
      unreadable::float8 as unreadable, unreadable_at, unreadable_entity_id, coalesce(new_since > ${NEWS}, false) as is_new,
      ${VANISHED} as is_vanished, coalesce(unreadable_at > ${NEWS}, false) as is_unreadable
    from (${from}) f order by module, field limit ${MAX_FIELDS}`.execute(db);
  return rows.map(({ is_new, is_vanished, is_unreadable, ...field }) => {
    const states: FieldState[] = [
      ...(is_new ? (['new'] as const) : []),
      ...(is_vanished ? (['vanished'] as const) : []),
      ...(is_unreadable ? (['unreadable'] as const) : []),
    ];
    return { ...field, states: states.length > 0 ? states : ['known'] };
  });
}
