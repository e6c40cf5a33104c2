import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Schema } from '../../db/schema.ts';

export type RetryRun = {
  id: string;
  status: 'running' | 'paused' | 'stopped' | 'cancelled' | 'completed';
  status_reason: string | null;
  created_at: Date;
  created_by: string;
  reason: string | null;
  selection: Record<string, unknown>;
  rate_per_second: number;
  max_failure_percent: number;
  /** Dead letters in the snapshot; the five below add up to it. */
  total: number;
  waiting: number;
  /** Retried, and not ended yet. */
  in_queue: number;
  completed: number;
  failed: number;
  /** Were no open dead letters any more when their turn came. */
  skipped: number;
  ended_at: Date | null;
};

/** Runs, the latest first. */
export async function retryRuns(db: Kysely<Schema>, limit: number): Promise<RetryRun[]> {
  return read(db, sql`order by created_at desc, id desc limit ${limit}`);
}

export async function retryRun(db: Kysely<Schema>, id: string): Promise<RetryRun | undefined> {
  return (await read(db, sql`where id = ${id}`))[0];
}

async function read(db: Kysely<Schema>, which: RawBuilder<unknown>): Promise<RetryRun[]> {
  const { rows } = await sql<RetryRun>`
    select id, status, status_reason, created_at, created_by, reason, selection, rate_per_second, max_failure_percent,
      total, waiting, in_queue, completed, failed, skipped, ended_at
    from (select * from tds_retry_runs ${which}) r cross join lateral (
      select (count(*) filter (where state = 'waiting'))::int as waiting,
        (count(*) filter (where state = 'retried'))::int as in_queue,
        (count(*) filter (where state = 'completed'))::int as completed,
        (count(*) filter (where state = 'failed'))::int as failed,
        (count(*) filter (where state = 'skipped'))::int as skipped
      from tds_retry_run_events where run_id = r.id) c
    order by created_at desc, id desc`.execute(db);
  return rows;
}
