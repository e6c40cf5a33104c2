/** How far each module has been pulled. */
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type Mark = {
  /** Every change before this has been pulled. */
  knownUntil: Date;
  /** When the whole list was last read, and how many pages it had; null when it never was. */
  scannedAt: Date | null;
  scannedPages: number | null;
};

/** The mark of a module, or null when it was never pulled. */
export async function markOf(db: Kysely<Schema>, organizationId: string, module: string): Promise<Mark | null> {
  const row = await db
    .selectFrom('tds_pull_marks')
    .select(['known_until as knownUntil', 'scanned_at as scannedAt', 'scanned_pages as scannedPages'])
    .where('organization_id', '=', organizationId)
    .where('module', '=', module)
    .executeTakeFirst();
  return row ?? null;
}

export type Advance = {
  organizationId: string;
  module: string;
  runId: string;
  /** Start of the run: what changed later may have been missed. */
  startedAt: string;
  /** Pages of the whole list and live records in it, null when only a part of it was read. */
  scannedPages: number | null;
  scannedRecords: number | null;
};

/** Moves a mark forward, never back. For a module of which a whole run has ended well. */
export async function advanceMark(trx: Transaction<Schema>, advance: Advance): Promise<void> {
  const { organizationId, module, runId, startedAt, scannedPages, scannedRecords } = advance;
  const scannedAt = scannedPages === null ? null : startedAt;
  await sql`
    insert into tds_pull_marks as mark (organization_id, module, known_until, first_pulled_at, scanned_at,
      scanned_pages, scanned_records, run_id)
    values (${organizationId}, ${module}, ${startedAt}, ${startedAt}, ${scannedAt}, ${scannedPages}, ${scannedRecords}, ${runId})
    on conflict (organization_id, module) do update set
      known_until = greatest(mark.known_until, excluded.known_until),
      scanned_at = greatest(mark.scanned_at, excluded.scanned_at),
      scanned_pages = coalesce(excluded.scanned_pages, mark.scanned_pages),
      scanned_records = coalesce(excluded.scanned_records, mark.scanned_records),
      first_pulled_at = least(mark.first_pulled_at, excluded.first_pulled_at),
      run_id = excluded.run_id, updated_at = now()`.execute(trx);
}
