import { type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { MAX_PAGE_BYTES } from './page.ts';

export type ChangesAsked = {
  module: string | undefined;
  organizationId: string | undefined;
  /** The change_no after which the page begins; 0: from the first change on. */
  after: string;
  limit: number;
};

export type PageOfChanges = {
  /** The text of a JSON array. */
  json: string;
  /** The change_no after which the next page begins. */
  next: string;
  /** The highest change_no that was ever given. */
  newest: string;
};

type Row = { newest: string; change_no: string | null; row: string | null };

/**
 * Records in the order in which their last changes were committed, each as it stands now: one that changed twice since
 * `after` is there once. Whoever goes on from `next` misses no change, however transactions overlap, because changes get
 * their numbers here, after their commit, under a lock (migration 0011). A page ends at 16 MB.
 *
 * PostgreSQL writes the JSON: JavaScript would lose digits of ids and money in `record`.
 */
export async function readChanges(db: Database, asked: ChangesAsked): Promise<PageOfChanges> {
  const { module = null, organizationId = null, after, limit } = asked;
  await sql`select books_number_changes(${module}, ${organizationId}, ${limit})`.execute(db);
  // A statement of its own: it sees the numbers that others had committed before it got its turn.
  const { rows } = await sql<Row>`
    with page as materialized (
      select c.* from books_change_parts(${module}, ${organizationId}) p cross join lateral (
        select change_no, organization_id, module, entity_id from books_changes b
        where b.organization_id = p.organization_id and b.module = p.module and b.change_no > ${after}::bigint
        order by b.change_no limit ${limit}) c
      order by change_no limit ${limit}),
    measured as (
      select page.*, version, record, coalesce(gone, true) as deleted,
        sum(octet_length(record)) over (order by change_no rows between unbounded preceding and 1 preceding) as bytes_before
      from page left join lateral (
        select version, record::text as record, deleted_at is not null as gone from books_records r
        where r.module = page.module and r.entity_id = page.entity_id and r.organization_id = page.organization_id
        offset 0) r on true)
    select last_no as newest, change_no, row from books_change_counter left join (
      select change_no, ${AS_JSON} as row from measured where coalesce(bytes_before, 0) < ${sql.lit(MAX_PAGE_BYTES)}
    ) as shown on true order by change_no`.execute(db);
  const changes = rows.filter(({ change_no }) => change_no !== null);
  return {
    json: `[${changes.map(({ row }) => row).join(',')}]`,
    next: changes.at(-1)?.change_no ?? after,
    newest: rows[0]?.newest ?? '0',
  };
}

const AS_JSON: RawBuilder<string> = sql`json_build_object('change_no', change_no, 'organization_id', organization_id,
  'module', module, 'entity_id', entity_id, 'deleted', deleted,
  'version', to_char(version at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), 'record', record::json)::text`;
