import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { WORKFLOWS_CHANNEL } from './held.ts';
import { remember } from './history.ts';
import { takeTurn, underWay } from './start.ts';
import { type Deed, transition, type WorkflowStatus } from './state.ts';

export type DeedOutcome =
  | { outcome: 'done' }
  | { outcome: 'not_found' }
  /** Not in this state; `refusal` says what can be done instead. */
  | { outcome: 'conflict'; refusal: string };

const PAST: Record<Deed, string> = {
  pause: 'paused',
  resume: 'resumed',
  retry: 'retried',
  terminate: 'terminated',
};

/**
 * What an operator does with a run. Give it a transaction. From its COMMIT on a paused or terminated run writes nothing
 * more; the worker that has it in hand lets go as soon as it notices, and not before that does another one take it.
 */
export async function operate(trx: Database, id: string, deed: Deed, by: string): Promise<DeedOutcome> {
  if (deed === 'retry') await takeTurnOf(trx, id);
  const run = await trx
    .selectFrom('tds_workflows')
    .select(['name', 'organization_id', 'status'])
    .where('id', '=', id)
    .forNoKeyUpdate()
    .executeTakeFirst();
  if (!run) return { outcome: 'not_found' };
  const next = transition(deed, run.status);
  if ('refusal' in next) return { outcome: 'conflict', refusal: next.refusal };
  const other = deed === 'retry' && (await underWay(trx, run.name, run.organization_id));
  if (other) return { outcome: 'conflict', refusal: occupied(other) };
  await enter(trx, id, deed, next.to);
  await remember(trx, { workflowId: id, message: `${PAST[deed]} by ${by}` });
  await sql`select pg_notify(${WORKFLOWS_CHANNEL}, '')`.execute(trx);
  return { outcome: 'done' };
}

/** Before the row is locked: the order of locks is that of starting a run. */
async function takeTurnOf(trx: Database, id: string): Promise<void> {
  const run = await trx
    .selectFrom('tds_workflows')
    .select(['name', 'organization_id'])
    .where('id', '=', id)
    .executeTakeFirst();
  if (run) await takeTurn(trx, run.name, run.organization_id);
}

/** What a 409 says about the run that is in the way. */
export function occupied({ id, status }: { id: string; status: string }): string {
  return `The run ${id} of the same name and organization is ${status}: wait for its end or terminate it.`;
}

async function enter(trx: Database, id: string, deed: Deed, status: WorkflowStatus): Promise<void> {
  await trx
    .updateTable('tds_workflows')
    .set({ status, updated_at: sql<Date>`clock_timestamp()`, waits_for: null, run_at: sql<Date>`clock_timestamp()` })
    .$if(deed === 'retry', (update) => update.set({ result: null, crash_count: 0 }))
    .where('id', '=', id)
    .execute();
}
