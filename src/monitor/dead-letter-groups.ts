import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type DeadLetterGroup = {
  /** Stable for a cause, and the fingerprint of its group at dashboard/errors. */
  key: string;
  kind: 'failed' | 'quarantined';
  error_tag: string;
  /** The message without what differs from event to event, for example 'no contact with id …'. */
  message: string;
  count: number;
  first_seen_at: Date;
  last_seen_at: Date;
  event_types: string[];
  /** Up to three, the latest first. */
  example_ids: string[];
  /** The message of the latest, as it was. */
  example_message: string;
};

/** So many open dead letters are looked at, the latest: reading them grows linearly. */
export const MAX_LETTERS = 10_000;

/**
 * Open dead letters by cause, the largest group first, at most `limit` groups.
 * `letters` is how many were looked at; with MAX_LETTERS open or more, older ones are left out.
 */
export async function groupDeadLetters(
  db: Database,
  limit: number,
): Promise<{ letters: number; groups: DeadLetterGroup[] }> {
  const { rows } = await sql<DeadLetterGroup & { letters: number }>`
    with latest as (
      select id, kind, event_type, moved_to_dlq_at, cause_key from tds_dead_letter_queue where resolved_at is null
      order by moved_to_dlq_at desc, id desc limit ${MAX_LETTERS}),
    placed as (
      select *, row_number() over (partition by cause_key, kind order by moved_to_dlq_at desc, id desc) as place from latest),
    types as (
      select cause_key, kind, (array_agg(event_type order by event_type))[1:5] as event_types
      from (select distinct cause_key, kind, event_type from latest) t group by 1, 2),
    groups as (
      select cause_key, kind, count(*)::int as count, min(moved_to_dlq_at) as first_seen_at,
        max(moved_to_dlq_at) as last_seen_at, array_agg(id order by place) filter (where place <= 3) as example_ids
      from placed group by cause_key, kind)
    select g.cause_key as key, g.kind, d.error_tag, d.cause_message as message, count,
      (select count(*)::int from latest) as letters, first_seen_at, last_seen_at, event_types, example_ids,
      left(d.last_error, 500) as example_message
    from groups g join types using (cause_key, kind) join tds_dead_letter_queue d on d.id = g.example_ids[1]
    order by count desc, last_seen_at desc, key limit ${limit}`.execute(db);
  return { letters: rows[0]?.letters ?? 0, groups: rows.map(({ letters: _letters, ...group }) => group) };
}

/** The ids of a group, the oldest first, which is the order in which to retry them. Empty for an unknown key. */
export async function deadLettersOfGroup(db: Database, key: string): Promise<string[]> {
  const letters = await db
    .selectFrom('tds_dead_letter_queue')
    .select('id')
    .where('resolved_at', 'is', null)
    .where('cause_key', '=', key)
    .orderBy('moved_to_dlq_at')
    .orderBy('id')
    .execute();
  return letters.map(({ id }) => id);
}
