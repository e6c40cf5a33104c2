import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';

/** `already`: it was acknowledged before, and the first acknowledgement stands. */
export type AcknowledgeOutcome = 'acknowledged' | 'already' | 'resolved' | 'not_found';

/**
 * Silences a firing alert until its condition clears or its severity rises. Give it a transaction.
 * @param note what the operator says about it
 */
export async function acknowledgeAlert(
  trx: Database,
  id: string,
  operator: string,
  note: string | null = null,
): Promise<AcknowledgeOutcome> {
  // The row lock makes two operators who click at once come one after the other.
  const alert = await trx
    .selectFrom('tds_alerts')
    .select(['acknowledged_at', 'resolved_at'])
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!alert) return 'not_found';
  if (alert.resolved_at) return 'resolved';
  if (alert.acknowledged_at) return 'already';
  await trx
    .updateTable('tds_alerts')
    .set({ acknowledged_at: sql<Date>`now()`, acknowledged_by: operator, acknowledgement_note: note })
    .where('id', '=', id)
    .execute();
  return 'acknowledged';
}
