import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { FailureGroupState } from '../../db/schema.ts';

/** What an operator decides about a cause. */
export type Decision = { kind: 'resolve' } | { kind: 'ignore'; reason: string } | { kind: 'reopen' };

export type DecisionOutcome = 'decided' | 'already' | 'not_found';

/** Where a decision leads; it changes nothing about a group that is there already. */
const LEADS_TO: Record<Decision['kind'], FailureGroupState> = {
  resolve: 'resolved',
  ignore: 'ignored',
  reopen: 'open',
};

/**
 * Resolves, ignores or reopens a group. Failures counted so far are older than the decision; one that ends later
 * reopens a resolved group by itself (the state follows from the times) and leaves an ignored one ignored.
 * Give it a transaction, and count the failures first (rollUpFailures).
 */
export async function decide(
  trx: Database,
  fingerprint: string,
  decision: Decision,
  operator: string,
): Promise<DecisionOutcome> {
  const group = await trx
    .selectFrom('tds_failure_groups')
    .select('state')
    .where('fingerprint', '=', fingerprint)
    .forUpdate()
    .executeTakeFirst();
  if (!group) return 'not_found';
  if (group.state === LEADS_TO[decision.kind]) return 'already';
  await trx
    .updateTable('tds_failure_groups')
    .set(written(decision, operator))
    .where('fingerprint', '=', fingerprint)
    .execute();
  return 'decided';
}

function written(decision: Decision, operator: string) {
  const now = sql<Date>`clock_timestamp()`;
  const cleared = { resolved_at: null, resolved_by: null, ignored_at: null, ignored_by: null, ignore_reason: null };
  switch (decision.kind) {
    case 'resolve':
      return { ...cleared, resolved_at: now, resolved_by: operator };
    case 'ignore':
      return { ...cleared, ignored_at: now, ignored_by: operator, ignore_reason: decision.reason };
    case 'reopen':
      return cleared;
  }
}
