import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { HeldRun } from './held.ts';
import type { Json, Progress } from './workflow.ts';

type Row = { id: string; name: string; organization_id: string; payload: Json; progress: Progress };

/**
 * Takes the run that has been waiting for longest under a new lease, or undefined when none may run now. Rows that
 * another worker looks at are passed over.
 * @param names the workflows this worker knows: one of a newer release waits for a worker of that release
 */
export async function claimRun(db: Database, workerId: string, names: readonly string[]): Promise<HeldRun | undefined> {
  const lease = randomUUID();
  const rows = await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock_shared(hashtextextended(${workerId}, 0))`.execute(trx);
    return (await take(trx, lease, workerId, names)).rows;
  });
  const [row] = rows;
  if (!row) return undefined;
  const { id, name, organization_id: organizationId, payload, progress } = row;
  return { id, name, organizationId, payload, progress, workerId, lease };
}

/** After the worker's lock, by which `drainWorkers` waits for claims: so it sees whether the worker was drained. */
function take(trx: Database, lease: string, workerId: string, names: readonly string[]) {
  return sql<Row>`
    update tds_workflows set lease = ${lease}, worker_id = ${workerId}, claimed_at = clock_timestamp(), waits_for = null
    where id = (
      select id from tds_workflows
      where status = 'running' and lease is null and run_at <= clock_timestamp() and name = any(${names})
        and not (select paused from tds_queue_state)
        and not exists (select from tds_workers where worker_id = ${workerId} and drained_at is not null)
      order by run_at, id limit 1 for update skip locked)
    returning id, name, organization_id, payload, progress`.execute(trx);
}

/** The outputs of the activities that a run has completed, by name. */
export async function completedOutputs(db: Database, { id }: HeldRun): Promise<Map<string, Json>> {
  const rows = await db
    .selectFrom('tds_workflow_activities')
    .select(['name', 'output'])
    .where('workflow_id', '=', id)
    .where('status', '=', 'completed')
    .execute();
  return new Map(rows.map(({ name, output }) => [name, output as Json]));
}
