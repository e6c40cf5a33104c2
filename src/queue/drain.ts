import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

/** What tells workers that one of them was drained or claims again. */
export const WORKERS_CHANNEL = 'tds_workers';

/** How many workers it concerned; `unknown`: the one that was named does not run, or none does. */
export type Drained = { outcome: 'drained' | 'resumed' | 'already' | 'unknown'; workers: number };

/**
 * Lets a worker claim nothing more, or all that run now: what they hold they finish. From the COMMIT on they claim
 * nothing; a worker that is started later does. A worker that is drained stays as it is: the first name stands.
 * Give it a transaction.
 */
export async function drainWorkers(
  trx: Kysely<Schema>,
  workerId: string | undefined,
  operator: string,
): Promise<Drained> {
  const { known, changed } = await change(trx, workerId, sql`drained_at is null`, sql`now()`, operator);
  return { outcome: known === 0 ? 'unknown' : changed > 0 ? 'drained' : 'already', workers: changed };
}

/** Lets workers that were drained claim again. Give it a transaction. */
export async function resumeWorkers(trx: Kysely<Schema>, workerId: string | undefined): Promise<Drained> {
  const { known, changed } = await change(trx, workerId, sql`drained_at is not null`, sql`null`, null);
  return { outcome: known === 0 ? 'unknown' : changed > 0 ? 'resumed' : 'already', workers: changed };
}

/** In order of their ids, so that two who do this never wait for each other in a circle. */
async function change(
  trx: Kysely<Schema>,
  workerId: string | undefined,
  which: ReturnType<typeof sql>,
  at: ReturnType<typeof sql>,
  by: string | null,
): Promise<{ known: number; changed: number }> {
  const { rows } = await sql<{ known: number; changed: number }>`
    with running as materialized (
      select worker_id, ${which} as changes from tds_workers
      where ended_at is null and worker_id = coalesce(${workerId ?? null}::uuid, worker_id)
      order by worker_id for update),
    changed as (
      update tds_workers set drained_at = ${at}, drained_by = ${by}
      where worker_id in (select worker_id from running where changes) returning worker_id)
    select (select count(*) from running)::int as known, (select count(*) from changed)::int as changed,
      pg_notify(${WORKERS_CHANNEL}, '')`.execute(trx);
  return rows[0] ?? { known: 0, changed: 0 };
}
