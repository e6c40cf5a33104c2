import { sql } from 'kysely';
import type { Database } from './database.ts';

const BATCH = 10_000;

/**
 * Deletes entries of the audit log that are older than `days`, from its beginning, and writes into the log that it did.
 * The hash of the last one deleted stays in the head, so that the chain of the others can still be checked.
 *
 * Only the owner of the table can: the log refuses every DELETE while its trigger is on, and the role of the services
 * may not switch that off. Partitions that the owner detaches would keep the same promise at the price of one to be made
 * ahead each month, without which no operator could do anything; a log of deeds is small enough to be deleted from.
 * @returns how many
 */
export async function purgeAudit(db: Database, days: number): Promise<number> {
  for (let total = 0; ; ) {
    const deleted = await purgeBatch(db, days);
    total += deleted;
    if (deleted < BATCH) return total;
  }
}

async function purgeBatch(db: Database, days: number): Promise<number> {
  return db.transaction().execute(async (trx) => {
    // Everybody who writes an entry locks this row first: nobody is in the way of what follows.
    await sql`select from tds_audit_head for update`.execute(trx);
    const upTo = await lastOfBatch(trx, days);
    if (upTo === undefined) return 0;
    await sql`alter table tds_audit_log disable trigger tds_audit_log_append_only`.execute(trx);
    await sql`
      update tds_audit_head set archived_id = l.id, archived_hash = l.hash
      from tds_audit_log l where l.id = ${upTo}::bigint`.execute(trx);
    const { numAffectedRows = 0n } = await sql`delete from tds_audit_log where id <= ${upTo}::bigint`.execute(trx);
    await sql`alter table tds_audit_log enable always trigger tds_audit_log_append_only`.execute(trx);
    const detail = JSON.stringify({ deleted: Number(numAffectedRows), up_to: upTo, older_than_days: days });
    await trx
      .insertInto('tds_audit_log')
      .values({ operator: 'tds-core-migrate', action: 'audit.purge', target: upTo, result: 'purged', detail })
      .execute();
    return Number(numAffectedRows);
  });
}

/** The last entry before the first one that is young enough to stay, of a batch. */
async function lastOfBatch(db: Database, days: number): Promise<string | undefined> {
  const { rows } = await sql<{ id: string | null }>`
    with oldest as materialized (select id, created_at from tds_audit_log order by id limit ${BATCH})
    select max(id)::text as id from oldest where id < coalesce(
      (select min(id) from oldest where created_at >= now() - make_interval(days => ${days})), 9223372036854775807)`.execute(
    db,
  );
  return rows[0]?.id ?? undefined;
}
