import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { NO_PROGRESS, WORKFLOWS_CHANNEL } from './held.ts';
import { remember } from './history.ts';
import type { Request } from './validate.ts';

export type StartOutcome =
  | { outcome: 'started'; id: string }
  /** Another run of this name and organization is under way. */
  | { outcome: 'conflict'; id: string; status: string };

/**
 * Starts a run: stores it and wakes a worker on commit. Give it a transaction.
 * @param by the operator, or `schedule`
 */
export async function startRun(
  trx: Database,
  { definition, organizationId, payload }: Omit<Request, 'definition'> & { definition: { name: string } },
  by: string,
  id: string = randomUUID(),
): Promise<StartOutcome> {
  const { name } = definition;
  await takeTurn(trx, name, organizationId);
  const other = await underWay(trx, name, organizationId);
  if (other) return { outcome: 'conflict', ...other };
  await trx
    .insertInto('tds_workflows')
    .values({
      ...{ id, name, organization_id: organizationId, started_by: by },
      ...{ payload: JSON.stringify(payload), progress: JSON.stringify(NO_PROGRESS) },
    })
    .execute();
  await remember(trx, { workflowId: id, message: `started by ${by}` });
  await sql`select pg_notify(${WORKFLOWS_CHANNEL}, '')`.execute(trx);
  return { outcome: 'started', id };
}

/** Whoever starts or retries a run of this name and organization comes one after the other, until COMMIT. */
export async function takeTurn(trx: Database, name: string, organizationId: string): Promise<void> {
  const key = `workflow ${name} ${organizationId}`;
  await sql`select pg_advisory_xact_lock(hashtextextended(${key}, 0))`.execute(trx);
}

/** The run of this name and organization that is under way, if there is one. */
export async function underWay(
  trx: Database,
  name: string,
  organizationId: string,
): Promise<{ id: string; status: string } | undefined> {
  return trx
    .selectFrom('tds_workflows')
    .select(['id', 'status'])
    .where('name', '=', name)
    .where('organization_id', '=', organizationId)
    .where('status', 'in', ['running', 'paused'])
    .executeTakeFirst();
}
