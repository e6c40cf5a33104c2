import { sql } from 'kysely';
import type { Database } from '../../../db/database.ts';
import { type Family, gauge, type Sample } from '../family.ts';

/** The processes and the database they share. */
export async function installationFamilies(db: Database): Promise<Family[]> {
  return [...(await processFamilies(db)), ...(await databaseFamilies(db))];
}

type Process = { service: string; version: string; processes: number; lag: number; bytes: number };

/** Processes write every five seconds: whoever has been silent for longer than this has ended. */
const ALIVE = sql`seen_at > now() - interval '30 seconds'`;

async function processFamilies(db: Database): Promise<Family[]> {
  const { rows } = await sql<Process>`
    select service, version, count(*)::int as processes, max(event_loop_lag_seconds) as lag,
      max(resident_bytes)::float8 as bytes
    from tds_processes where ${ALIVE} group by service, version order by service, version`.execute(db);
  return [
    gauge('tds_build_info', 'Living processes by service and release.', samples(rows, 'processes')),
    gauge(
      'tds_event_loop_lag_seconds',
      '99th percentile of the last seconds; of several processes the worst.',
      samples(rows, 'lag'),
    ),
    gauge('tds_process_resident_memory_bytes', 'Memory; of several processes the largest.', samples(rows, 'bytes')),
  ];
}

function samples(rows: Process[], column: 'processes' | 'lag' | 'bytes'): Sample[] {
  return rows.map(({ service, version, ...measured }) => ({ labels: { service, version }, value: measured[column] }));
}

const STATES = ['active', 'idle', 'idle in transaction'];

/** One statement over pg_stat_activity, and two look-ups. */
async function databaseFamilies(db: Database): Promise<Family[]> {
  const { rows } = await sql<{ state: string; connections: number; oldest: number; largest: number; size: number }>`
    select coalesce(state, 'other') as state, count(*)::float8 as connections,
      coalesce(extract(epoch from clock_timestamp() - min(xact_start) filter (where pid <> pg_backend_pid())), 0)::float8
        as oldest,
      current_setting('max_connections')::float8 as largest, pg_database_size(current_database())::float8 as size
    from pg_stat_activity where datname = current_database() and backend_type = 'client backend'
    group by 1`.execute(db);
  const of = (states: readonly string[]) =>
    rows.reduce((sum, { state, connections }) => sum + (states.includes(state) ? connections : 0), 0);
  const others = rows.map(({ state }) => state).filter((state) => !STATES.includes(state));
  return [
    gauge('database_connections_active', 'Connections to the database, by state.', [
      ...STATES.map((state) => ({ labels: { state }, value: of([state]) })),
      { labels: { state: 'other' }, value: of(others) },
    ]),
    gauge('tds_database_connections_max', 'max_connections of the server.', rows[0]?.largest ?? null),
    gauge('tds_database_size_bytes', 'Size of the database.', rows[0]?.size ?? null),
    gauge(
      'tds_database_oldest_transaction_seconds',
      'Age of the oldest open transaction on the database; 0 when there is none.',
      Math.max(0, ...rows.map(({ oldest }) => oldest)),
    ),
  ];
}
