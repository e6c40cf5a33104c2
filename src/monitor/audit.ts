import { sql, type Transaction } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { stateOf } from './audit-state.ts';

/** Who acts, and in which request. */
export type Actor = { name: string; requestId: string };

/** What an operator asks for. */
export type Deed<R extends { outcome: string }> = {
  /** As the audit log calls it, such as 'alert.acknowledge'. */
  action: string;
  /** The id it is done to. */
  target: string | null;
  detail?: Record<string, unknown>;
  /** The outcomes whose changes stand; those of any other outcome are undone. */
  stands: readonly R['outcome'][];
  run(trx: Transaction<Schema>): Promise<R>;
};

export type AuditEntry = {
  operator: string;
  action: string;
  target: string | null;
  /** 'denied', or the outcome of the deed. */
  result: string;
  requestId: string;
  /** Its `reason` is also a column of the log. */
  detail?: Record<string, unknown> | undefined;
  /** State of the target before and after the deed, as JSON. */
  before?: string | null;
  after?: string | null;
};

/**
 * Runs what an operator asked for and writes its audit row, in one transaction: either both happen or neither. An
 * outcome that is not in `stands` (a conflict, an id that does not exist) leaves nothing but the audit row.
 * Throws what the deed throws; then nothing has happened.
 */
export async function act<R extends { outcome: string }>(db: Database, actor: Actor, deed: Deed<R>): Promise<R> {
  return db.transaction().execute(async (trx) => {
    const { action, target, detail } = deed;
    const before = await stateOf(trx, action, target);
    await sql`savepoint before_deed`.execute(trx);
    const result = await deed.run(trx);
    const stands = deed.stands.includes(result.outcome);
    if (!stands) await sql`rollback to savepoint before_deed`.execute(trx);
    await recordAudit(trx, {
      ...{ operator: actor.name, requestId: actor.requestId },
      ...{ action, target, detail, result: result.outcome },
      ...(stands && { before, after: await stateOf(trx, action, target) }),
    });
    return result;
  });
}

/**
 * Writes one row of the audit log, which is append-only. In a transaction it comes last: the next row of another
 * transaction is chained to this one, and waits for its COMMIT.
 */
export async function recordAudit(db: Database, entry: AuditEntry): Promise<void> {
  const { operator, action, target, result, requestId, detail, before, after } = entry;
  const told = detail && Object.keys(detail).length > 0 ? JSON.stringify(detail) : null;
  await db
    .insertInto('tds_audit_log')
    .values({ operator, action, target, result, request_id: requestId, detail: told, before, after })
    .execute();
}
