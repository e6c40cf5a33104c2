import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

/** Alive: registered, not ended, and its lease has not run out. */
export const ALIVE = sql`ended_at is null and expires_at > now()`;

export type Workers = {
  alive: number;
  /** Seconds since the last heartbeat of the living worker that has been silent for longest; null when none lives. */
  oldest_heartbeat_age_seconds: number | null;
  /** Events in hand, as the living workers said with their last heartbeat. */
  in_flight: number;
};

/** The living workers at a glance. */
export async function readWorkers(db: Database): Promise<Workers> {
  const { rows } = await sql<Workers>`
    select count(*)::int as alive, coalesce(sum(in_flight), 0)::int as in_flight,
      case when count(*) > 0 then greatest(round(extract(epoch from now() - min(heartbeat_at)), 3), 0) end::float8
        as oldest_heartbeat_age_seconds
    from tds_workers where ${ALIVE}`.execute(db);
  return rows[0] ?? { alive: 0, oldest_heartbeat_age_seconds: null, in_flight: 0 };
}

/** How many workers are alive. */
export async function aliveWorkers(db: Database): Promise<number> {
  return (await readWorkers(db)).alive;
}

/** How many living workers are not about to end: these do what is done by the clock. */
export async function workersAtWork(db: Database): Promise<number> {
  const { rows } = await sql<{ workers: number }>`
    select count(*)::int as workers from tds_workers where ${ALIVE} and not draining`.execute(db);
  return rows[0]?.workers ?? 0;
}

export type WorkerRow = {
  worker_id: string;
  /** `draining`: it is about to end. `drained`: an operator lets it claim nothing. `lost`: it has not said goodbye, and its lease has run out. */
  state: 'alive' | 'draining' | 'drained' | 'lost' | 'ended';
  host: string;
  pid: number;
  version: string;
  concurrency: number;
  in_flight: number;
  started_at: Date;
  heartbeat_at: Date;
  ended_at: Date | null;
  drained_at: Date | null;
  drained_by: string | null;
};

/** Workers of the last day, those that live first. */
export async function listWorkers(db: Database, limit: number): Promise<WorkerRow[]> {
  const { rows } = await sql<WorkerRow>`
    select worker_id, host, pid, version, concurrency, in_flight, started_at, heartbeat_at, ended_at,
      drained_at, drained_by, case when ended_at is not null then 'ended' when expires_at <= now() then 'lost'
        when draining then 'draining' when drained_at is not null then 'drained' else 'alive' end as state
    from tds_workers order by ended_at is not null, heartbeat_at desc, worker_id limit ${limit}`.execute(db);
  return rows;
}
