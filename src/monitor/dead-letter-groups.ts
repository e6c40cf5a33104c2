import { type RawBuilder, sql } from 'kysely';
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

/** So many open dead letters are looked at, the latest: 0.14 s of one connection (measured; it grows linearly). */
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
    with causes as (${causes()})
    select key, kind, error_tag, message, count(*)::int as count, sum(count(*)) over ()::int as letters,
      min(moved_to_dlq_at) as first_seen_at, max(moved_to_dlq_at) as last_seen_at,
      (array_agg(distinct event_type))[1:5] as event_types,
      (array_agg(id order by moved_to_dlq_at desc, id desc))[1:3] as example_ids,
      (array_agg(example order by moved_to_dlq_at desc, id desc))[1] as example_message
    from causes group by key, kind, error_tag, message
    order by count(*) desc, max(moved_to_dlq_at) desc, key limit ${limit}`.execute(db);
  return { letters: rows[0]?.letters ?? 0, groups: rows.map(({ letters: _letters, ...group }) => group) };
}

/** The ids of a group, the oldest first, which is the order in which to retry them. Empty for an unknown key. */
export async function deadLettersOfGroup(db: Database, key: string): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with causes as (${causes()}) select id from causes where key = ${key} order by moved_to_dlq_at, id`.execute(db);
  return rows.map((row) => row.id);
}

/** The cause of a dead letter is that of the attempt that killed it; of one without an attempt, what its text says. */
function causes(): RawBuilder<unknown> {
  return sql`
    select l.id, kind, error_tag, c.message, event_type, moved_to_dlq_at, example, c.key
    from (select *, left(last_error, 500) as example from tds_dead_letter_queue where resolved_at is null
          order by moved_to_dlq_at desc, id desc limit ${MAX_LETTERS}) l
    left join lateral (
      select fingerprint, message from tds_failures f where f.event_id = l.id and kind = 'failed'
      order by created_at desc limit 1) f on true
    cross join lateral (select coalesce(f.message, tds_error_template(example)) as message) m
    cross join lateral (
      select m.message, coalesce(f.fingerprint,
        tds_fingerprint(error_tag, m.message, case kind when 'quarantined' then 'intake' else '' end)) as key) c`;
}
