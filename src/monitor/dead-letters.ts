import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { isBehind, MAX_PAGE_BYTES, type Position, shortError } from './page.ts';

/** The text of a JSON array, and where the next page begins, if there is one. */
export type PageOfDeadLetters = { json: string; next: Position | undefined };

type Row = { row: string; at: string; id: string; found: number };

/** Edited ones are not among the discarded: nothing brings them back. */
const IN_STATE = {
  open: sql<boolean>`resolved_at is null`,
  discarded: sql<boolean>`discarded_at is not null and not exists (
    select from tds_event_edits e where e.original_id = tds_dead_letter_queue.id)`,
};

/**
 * Dead letters that are open, or that can be restored, latest first; a page ends at 16 MB of payloads and errors, however many were asked for.
 * PostgreSQL writes the JSON, because JavaScript would lose digits of ids and money in `payload`. Quarantined ones have
 * no payload but `raw_body`.
 */
export async function deadLetters(
  db: Database,
  state: keyof typeof IN_STATE,
  { limit, after }: { limit: number; after?: Position | undefined },
): Promise<PageOfDeadLetters> {
  const behind = after ? sql`and ${isBehind(after, 'moved_to_dlq_at', 'id')}` : sql``;
  // One more than asked for tells whether another page follows.
  const { rows } = await sql<Row>`
    with latest as (
      select * from tds_dead_letter_queue where ${IN_STATE[state]} ${behind}
      order by moved_to_dlq_at desc, id desc limit ${limit + 1}),
    measured as (
      select *, count(*) over ()::int as found,
        row_number() over newest_first as place,
        sum(coalesce(octet_length(payload::text), 0) + coalesce(octet_length(raw_body), 0)
            + octet_length(${shortError('last_error')}))
          over (newest_first rows between unbounded preceding and 1 preceding) as bytes_before
      from latest
      window newest_first as (order by moved_to_dlq_at desc, id desc))
    select ${asJson} as row, moved_to_dlq_at::text as at, id, found
    from measured where place <= ${limit} and coalesce(bytes_before, 0) < ${sql.lit(MAX_PAGE_BYTES)}
    order by place`.execute(db);
  const last = rows.at(-1);
  return {
    json: `[${rows.map(({ row }) => row).join(',')}]`,
    next: last && last.found > rows.length ? { at: last.at, id: last.id } : undefined,
  };
}

/** How many can be restored. */
export async function countDiscarded(db: Database): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from tds_dead_letter_queue where ${IN_STATE.discarded}`.execute(db);
  return rows[0]?.n ?? 0;
}

/** The JSON of a dead letter that is open or was discarded; undefined when there is none of this id. */
export async function deadLetter(db: Database, id: string): Promise<string | undefined> {
  const { rows } = await sql<{ row: string }>`
    select ${asJson} as row from tds_dead_letter_queue where id = ${id}
      and (resolved_at is null or discarded_at is not null)`.execute(db);
  return rows[0]?.row;
}

const asJson: RawBuilder<string> = sql`json_build_object('id', id, 'original_queue_id', original_queue_id,
  'event_type', event_type, 'entity_id', entity_id, 'payload', payload, 'attempt_count', attempt_count,
  'last_error', ${shortError('last_error')}, 'moved_to_dlq_at', ${rfc3339('moved_to_dlq_at')},
  'retry_count', retry_count, 'last_retry_at', ${rfc3339('last_retry_at')}, 'error_tag', error_tag, 'kind', kind,
  'organization_id', organization_id, 'event_id', id, 'quarantined_by', quarantined_by,
  'discarded_at', ${rfc3339('discarded_at')}, 'discarded_by', discarded_by, 'discard_reason', discard_reason,
  'raw_body_base64', translate(encode(raw_body, 'base64'), E'\n', ''))::text`;

function rfc3339(column: string): RawBuilder<string> {
  return sql`to_char(${sql.ref(column)} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}
