import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type AuditRow = {
  id: string;
  created_at: Date;
  operator: string;
  action: string;
  target: string | null;
  result: string;
  request_id: string | null;
  reason: string | null;
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  detail: Record<string, unknown> | null;
  hash: string;
};

/**
 * A page of the audit log, latest first.
 * @param before the `next` of the page before
 * @returns `total` is how many there are altogether
 */
export async function readAudit(
  db: Database,
  limit: number,
  before?: string,
): Promise<{ entries: AuditRow[]; next: string | undefined; total: number }> {
  const { rows } = await sql<AuditRow>`
    select id::text as id, created_at, operator, action, target, result, request_id, reason, before, after, detail,
      encode(hash, 'hex') as hash
    from tds_audit_log where id < ${before ?? '9223372036854775807'}::bigint order by tds_audit_log.id desc limit ${limit + 1}`.execute(
    db,
  );
  const all = await sql<{ total: number }>`select count(*)::float8 as total from tds_audit_log`.execute(db);
  const entries = rows.slice(0, limit);
  const next = rows.length > limit ? entries.at(-1)?.id : undefined;
  return { entries, next, total: all.rows[0]?.total ?? 0 };
}
