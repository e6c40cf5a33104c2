import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import { interrupted } from './finish.ts';
import { WORKFLOWS_CHANNEL } from './held.ts';
import { MAX_CRASHES, secondsAfterCrash } from './state.ts';

export type RescuedRun = { id: string; name: string; worker_id: string; status: string; crash_count: number };

/**
 * Takes back the runs of dead workers; they go on with the activity that was under way. Who is dead is decided by the
 * queue's rescue, which runs before this, ends the worker's sessions and its row in tds_workers.
 *
 * A run that was in hand is charged for the crash unless the worker's watchdog named another culprit, and fails after
 * MAX_CRASHES in a row: nothing else would stop one that ends every worker that takes it.
 * @param leaseSeconds holds without a worker row are given up after so long
 */
export async function rescueRuns(db: Database, leaseSeconds: number): Promise<RescuedRun[]> {
  const { rows } = await sql<RescuedRun>`
    with dead as materialized (
      select r.id, r.worker_id,
        r.crash_count + case when coalesce(w.culprit, r.id) = r.id then 1 else 0 end as crashes
      from tds_workflows r left join tds_workers w on w.worker_id = r.worker_id
      where r.lease is not null and (w.ended_at is not null
        or (w.worker_id is null and r.claimed_at < clock_timestamp() - make_interval(secs => ${leaseSeconds})))
      for update of r skip locked),
    taken as (
      update tds_workflows r set lease = null, worker_id = null, claimed_at = null, crash_count = crashes,
        status = case when r.status = 'running' and crashes >= ${MAX_CRASHES} then 'failed' else r.status end,
        result = case when r.status = 'running' and crashes >= ${MAX_CRASHES} then ${CRASHED}::jsonb else r.result end,
        run_at = clock_timestamp() + (${waits}::float8[])[least(crashes, ${MAX_CRASHES}) + 1] * interval '1 second',
        waits_for = case when crashes > 0 then 'The worker process that had it in hand died.' end,
        updated_at = case when crashes >= ${MAX_CRASHES} then clock_timestamp() else r.updated_at end
      from dead where r.id = dead.id
      returning r.id, r.name, dead.worker_id, r.status, r.crash_count),
    ${interrupted(sql`select id from taken`)},
    told as (
      insert into tds_workflow_logs (workflow_id, message, worker_id, error_tag)
      select id, 'taken back from a dead worker', worker_id, case when status = 'failed' then 'ProcessCrash' end
      from taken)
    select *, pg_notify(${WORKFLOWS_CHANNEL}, '') from taken`.execute(db);
  return rows.map(({ id, name, worker_id, status, crash_count }) => ({ id, name, worker_id, status, crash_count }));
}

const waits = [0, ...Array.from({ length: MAX_CRASHES }, (_, n) => secondsAfterCrash(n + 1))];

const CRASHED = JSON.stringify({
  message: `The worker process died ${MAX_CRASHES} times in a row while it had this run in hand.`,
  tag: 'ProcessCrash',
  cause: [],
});

/**
 * Gives back what a living worker holds without knowing it: a claim whose answer was lost with the connection, or a run
 * whose end could not be written.
 * @param known the leases the worker knows of; claims of the last seconds may still be on their way to it
 */
export async function releaseForgottenRuns(db: Database, workerId: string, known: readonly string[]): Promise<void> {
  await sql`
    with given as (
      update tds_workflows set lease = null, worker_id = null, claimed_at = null, run_at = clock_timestamp()
      where worker_id = ${workerId} and lease <> all (${known}::uuid[])
        and claimed_at < clock_timestamp() - interval '5 seconds'
      returning id),
    ${interrupted(sql`select id from given`)}
    select pg_notify(${WORKFLOWS_CHANNEL}, '') from given`.execute(db);
}
