/** Where fetched records differ from the mirror, judged by PostgreSQL: every digit counts, the order of keys does not. */
import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** How the mirror differs: no such record, one too many, an older version, another content, parts of it only. */
export type Difference = 'missing' | 'extra' | 'stale' | 'different' | 'incomplete';

export type Fetched = {
  id: string;
  /** JSON text that jsonb accepts. */
  text: string;
  /** Null: the record names no time, so that its content alone is compared. */
  version: Date | null;
};

export type Compared = {
  id: string;
  /** Null: the mirror holds the record as Zoho does, or has heard of a newer one since it was fetched. */
  difference: Difference | null;
  /** The mirror has never held it. */
  isNew: boolean;
  /** A webhook, or a former pull, has told of this version before. */
  announced: boolean;
  /** The version of the mirror's row; null when there is none. */
  storedVersion: Date | null;
  /** The event that wrote that row last. */
  storedEventId: string | null;
};

/** Compares records that were fetched at `fetchedAt` (the database's clock) with the mirror, in their order. */
export async function compareWithMirror(
  db: Kysely<Schema>,
  organizationId: string,
  module: string,
  records: readonly Fetched[],
  fetchedAt: Date,
): Promise<Compared[]> {
  if (records.length === 0) return [];
  const texts = records.map(({ text }) => Buffer.from(text));
  const lengths = texts.map(({ length }) => length);
  // The bytes go as one binary parameter, as in queue/enqueue.ts: an array of texts would be escaped twice.
  const { rows } = await sql<Compared>`
    with given as materialized (
      select n, id, version, convert_from(substr(${Buffer.concat(texts)}::bytea,
        (1 + sum(length) over (order by n) - length)::int, length), 'UTF8') as text
      from unnest(${records.map(({ id }) => id)}::text[], ${records.map(({ version }) => version)}::timestamptz[],
        ${lengths}::int[]) with ordinality as g (id, version, length, n)
    )
    select given.id, stored.entity_id is null as "isNew", stored.version as "storedVersion",
      stored.event_id as "storedEventId", case
        when stored.entity_id is null or stored.deleted_at < ${fetchedAt} then 'missing'
        when stored.deleted_at is not null then null
        when not stored.complete then 'incomplete'
        when stored.version > given.version and stored.received_at > ${fetchedAt} then null
        when stored.stale_since is not null or stored.version < given.version then 'stale'
        when stored.version <> given.version or stored.record <> given.text::jsonb then 'different'
      end as difference,
      coalesce(stored.deleted_at is null and greatest(stored.version, stored.stale_version) >= given.version, false)
        or exists (
          select from tds_queue_waiting w join tds_inbox_payloads p on p.event_id = w.id
          where w.entity_key = tds_entity_key(${organizationId}, ${module}, given.id, null)
            and p.version >= given.version) as announced
    from given left join books_records stored
      on stored.module = ${module} and stored.entity_id = given.id and stored.organization_id = ${organizationId}
    order by n`.execute(db);
  return rows;
}
