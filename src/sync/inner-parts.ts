/** A reconciliation's judgement of records within records: contact persons, by what their contacts were seen to hold. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';
import { type InnerModule, innerModulesOf } from '../zoho/modules/pull-modules.ts';
import { type Part, storePage } from './pages.ts';
import type { Scope } from './scope.ts';
import { databaseTime, writePulled } from './write-pulled.ts';

/** Records that the run's pages have shown and that exist. */
const shown = ({ runId, module }: Part) => sql`
  select unnest(ids) as id from tds_pull_pages where run_id = ${runId} and module = ${module}
  except select unnest(gone) from tds_pull_pages where run_id = ${runId} and module = ${module}`;

/**
 * Deletes what stands within records that are gone: a webhook that tells of a contact's deletion says nothing of its
 * persons, and no list shows either any more.
 */
export async function applyInnerDeletions({ run, module, part }: Scope): Promise<void> {
  const { organizationId, runId } = part;
  for (const inner of innerModulesOf(module)) {
    await run.activity(`${inner.name} deletions`, {
      fetch: async () => databaseTime(run.db),
      async write(trx, fetchedAt) {
        const deletedIds = await goneHolders(trx, part, inner);
        const batch = { organizationId, module, records: [], deletedIds, runId, reason: run.name, fetchedAt };
        const written = deletedIds.length === 0 ? [] : await writePulled(trx, batch);
        return { written: written.length };
      },
    });
  }
}

async function goneHolders(db: Kysely<Schema>, part: Part, inner: InnerModule): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with shown as materialized (${shown(part)})
    select distinct known.within as id from tds_pull_rows known
      join books_records live using (module, entity_id, organization_id)
      left join books_records holder on holder.module = ${part.module} and holder.entity_id = known.within
        and holder.organization_id = known.organization_id and holder.deleted_at is null
    where known.organization_id = ${part.organizationId} and known.module = ${inner.name} and known.within is not null
      and live.deleted_at is null and holder.entity_id is null
      and not exists (select from shown where shown.id = known.within)
    order by 1`.execute(db);
  return rows.map(({ id }) => id);
}

/** The part of an inner module: as if a list had shown every record that stands within those of `part`. */
export async function innerPart(trx: Transaction<Schema>, part: Part, inner: InnerModule): Promise<Part> {
  const { rows } = await sql<{ ids: string[] }>`
    with shown as materialized (${shown(part)})
    select coalesce(array_agg(entity_id), '{}') as ids from tds_pull_rows
    where organization_id = ${part.organizationId} and module = ${inner.name} and row_hash is not null
      and within in (select id from shown)`.execute(trx);
  const own = { ...part, module: inner.name };
  await storePage(trx, own, { page: 1, ids: rows[0]?.ids ?? [], todo: [] });
  return own;
}

/** A sentence about entries that cannot be records for want of an id; none when there are none. */
export async function describeWithoutId(db: Kysely<Schema>, part: Part, inner: InnerModule): Promise<string[]> {
  const { rows } = await sql<{ entries: number; holders: string[] }>`
    with shown as materialized (${shown(part)})
    select coalesce(sum(without_id), 0)::int as entries, (array_agg(entity_id order by entity_id))[1:3] as holders
    from tds_pull_rows where organization_id = ${part.organizationId} and module = ${part.module} and without_id > 0
      and entity_id in (select id from shown)`.execute(db);
  const { entries = 0, holders = [] } = rows[0] ?? {};
  if (entries === 0) return [];
  const where = `in ${part.module} ${holders.join(', ')}${holders.length < 3 ? '' : ' and perhaps others'}`;
  return [`${entries} entries of ${inner.key} cannot be mirrored, they have no ${inner.idField}: ${where}.`];
}
