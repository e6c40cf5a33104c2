/** What is remembered of the list rows whose records were fetched: they are not fetched again until something is new. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import type { ZohoRecord } from '../zoho/client/records.ts';
import { innerModulesOf } from '../zoho/modules/pull-modules.ts';

export type RememberedRow = {
  id: string;
  /** Of the list row, or of the record within another; null: it stands in that one no more, or no list has shown it. */
  hash: string | null;
  /** What books_records.version will be; not bounded by the clock yet. */
  version: Date | null;
  /** The event that carries the record; the one that had written it before when the mirror held it already. */
  eventId: string | null;
  within: string | null;
  /** Entries within the record that should be records of their own and have no id. */
  withoutId: number;
};

/** Remembers rows; for use in the transaction that enqueues their events, whose `now()` bounds the versions alike. */
export async function rememberRows(
  trx: Transaction<Schema>,
  organizationId: string,
  module: string,
  rows: readonly RememberedRow[],
): Promise<void> {
  if (rows.length === 0) return;
  const column = <K extends keyof RememberedRow>(key: K) => rows.map((row) => row[key]);
  await sql`
    insert into tds_pull_rows as known (organization_id, module, entity_id, row_hash, version, event_id, within, without_id)
    select distinct on (id) ${organizationId}, ${module}, id, decode(hash, 'hex'),
      case when version > now() + interval '5 minutes' then now() else version end, event_id, within, without_id
    from unnest(${column('id')}::text[], ${column('hash')}::text[], ${column('version')}::timestamptz[],
      ${column('eventId')}::uuid[], ${column('within')}::text[], ${column('withoutId')}::int[])
      as r (id, hash, version, event_id, within, without_id)
    order by id
    on conflict (module, entity_id, organization_id) do update set row_hash = excluded.row_hash,
      version = excluded.version, event_id = coalesce(excluded.event_id, known.event_id), within = excluded.within,
      without_id = excluded.without_id
    where (known.row_hash, known.version, known.within, known.without_id)
        is distinct from (excluded.row_hash, excluded.version, excluded.within, excluded.without_id)
      or excluded.event_id <> known.event_id or known.event_id is null`.execute(trx);
}

/**
 * The rows whose record has to be fetched: those whose id, hash or version is new, and those whose record the mirror
 * does not hold in full, or holds by another event since: at an equal version that may be an older state. The same goes
 * for records within it, which only its own fetch can mend. A record that is still on its way to the mirror, or lies in
 * the dead letters, is not fetched again: it would only get there twice.
 */
export async function rowsToFetch(
  db: Kysely<Schema>,
  organizationId: string,
  module: string,
  rows: readonly Pick<ZohoRecord, 'id' | 'hash'>[],
): Promise<Set<string>> {
  const { rows: found } = await sql<{ id: string }>`
    select id from unnest(${rows.map(({ id }) => id)}::text[], ${rows.map(({ hash }) => hash)}::text[]) as r (id, hash)
    left join tds_pull_rows known
      on known.module = ${module} and known.entity_id = id and known.organization_id = ${organizationId}
    left join books_records stored
      on stored.module = ${module} and stored.entity_id = id and stored.organization_id = ${organizationId}
    where known.row_hash is distinct from decode(hash, 'hex') or not (
      coalesce(stored.deleted_at is null and stored.complete and stored.stale_since is null
        and stored.version = known.version and stored.event_id is not distinct from known.event_id, false)
      or exists (select from tds_sync_queue q where q.id = known.event_id and q.status <> 'completed'))
      or ${innerDiffers(organizationId, module)}`.execute(db);
  return new Set(found.map(({ id }) => id));
}

/** Whether the mirror holds a record within the row's otherwise than it was sent there. */
function innerDiffers(organizationId: string, module: string) {
  const names = innerModulesOf({ name: module }).map(({ name }) => name);
  if (names.length === 0) return sql`false`;
  return sql`exists (
    select from tds_pull_rows known left join books_records stored using (module, entity_id, organization_id)
    where known.organization_id = ${organizationId} and known.module = any (${names}::text[]) and known.within = r.id
      and case when known.row_hash is null then stored.entity_id is not null and stored.deleted_at is null
        else not coalesce(stored.deleted_at is null and stored.complete and stored.stale_since is null
          and stored.version = known.version and stored.event_id is not distinct from known.event_id, false) end
      and not exists (select from tds_sync_queue q where q.id = known.event_id and q.status <> 'completed'))`;
}
