import type { Database } from '../db/database.ts';

export type AuditEntry = {
  operator: string;
  /** What was done, such as 'alert.acknowledge'. */
  action: string;
  /** The id it was done to. */
  target: string | null;
  /** 'done', 'denied', or why nothing was done. */
  result: string;
  requestId: string;
  detail?: Record<string, unknown>;
};

/**
 * Writes one line of the audit log. Give it the transaction of the write itself: either both happen or neither.
 * The table is append-only (trigger).
 */
export async function recordAudit(db: Database, entry: AuditEntry): Promise<void> {
  const { operator, action, target, result, requestId, detail } = entry;
  await db
    .insertInto('tds_audit_log')
    .values({ operator, action, target, result, request_id: requestId, detail: detail ? JSON.stringify(detail) : null })
    .execute();
}
