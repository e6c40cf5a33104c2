/** What the server of the database shows: statements that are slow, and how long the disk will do. */
import { statfs } from 'node:fs/promises';
import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Examination } from './finding.ts';

const SLOW_MS = 1000;
const FEW_CALLS = 10;

/** pg_stat_statements is an extension; where it is missing nobody knows. Its texts hold no values. */
export function slowStatements(view: string): Examination {
  return async function slowStatements(db) {
    if (!(await mayRead(db, view))) return [];
    const { rows } = await sql<{ query: string; calls: number; ms: number }>`
    select regexp_replace(left(query, 120), '\\s+', ' ', 'g') as query, calls::float8 as calls, mean_exec_time as ms
    from ${sql.table(view)} s join pg_database d on d.oid = s.dbid
    where d.datname = current_database() and calls >= ${FEW_CALLS} and mean_exec_time > ${SLOW_MS}
      and query !~* '^\\s*(vacuum|analyze|create|copy|reindex|alter)'
    order by total_exec_time desc limit 3`.execute(db);
    if (rows.length === 0) return [];
    return [
      {
        ...{ code: 'slow_statements', severity: 'warning', title: 'Statements take over a second' },
        cause: 'an index that reports would need is missing, statistics are old, or the server is too small',
        evidence: rows.map(({ query, calls, ms }) => `${Math.round(ms)} ms, ${calls} times: ${query}`).join('; '),
        next: 'explain (analyze, buffers) of the first one; analyze its tables',
      },
    ];
  };
}

/** Installed, in the path, and ours to read. */
async function mayRead(db: Database, view: string): Promise<boolean> {
  const { rows } = await sql<{ readable: boolean }>`
    select coalesce(has_table_privilege(to_regclass(${view}), 'select'), false) as readable`.execute(db);
  return rows[0]?.readable ?? false;
}

const FEW_DAYS = 7;
const VERY_FEW_DAYS = 2;
const ALMOST_FULL = 0.95;

/** How full the disk is that holds the database, and how fast the database grows. */
export type Disk = { size: number; free: number; bytesPerDay: number };

/**
 * How many days are left, when the database is on this machine: nobody sees another one's disk. What has arrived since
 * yesterday is what a day adds, at the size that an event has on average in this database, with all that belongs to it.
 */
export function diskExamination(read: (db: Database) => Promise<Disk | undefined>): Examination {
  return async function disk(db) {
    const found = await read(db);
    if (!found) return [];
    const { size, free, bytesPerDay } = found;
    const days = bytesPerDay > 0 ? free / bytesPerDay : Number.POSITIVE_INFINITY;
    const isFull = free < size * (1 - ALMOST_FULL);
    if (days > FEW_DAYS && !isFull) return [];
    const left = Number.isFinite(days) ? `; about ${Math.floor(days)} days at ${gigabytes(bytesPerDay)} a day` : '';
    return [
      {
        ...{ code: 'disk', title: 'The disk of the database is filling up' },
        severity: days < VERY_FEW_DAYS || isFull ? 'critical' : 'warning',
        cause: bytesPerDay > 0 ? 'more arrives than is purged' : 'something else fills it',
        evidence: `${gigabytes(free)} of ${gigabytes(size)} are free${left}`,
        next: 'tds queue purge --dry-run; lower RETENTION_DAYS, or enlarge the disk',
      },
    ];
  };
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(1)} GB`;

async function readDisk(db: Database): Promise<Disk | undefined> {
  const { rows } = await sql<{ local: boolean; directory: string | null; bytes_per_day: number }>`
    select inet_server_addr() is null or inet_server_addr() = inet_client_addr() as local,
      case when pg_has_role(current_user, 'pg_read_all_settings', 'usage')
        or (select rolsuper from pg_roles where rolname = current_user) then current_setting('data_directory', true) end
        as directory,
      coalesce((select sum(arrived) from tds_processing_totals where bucket > now() - interval '1 day'), 0)::float8
        * pg_database_size(current_database()) / greatest((
          select sum(pending + processing + retry + completed + dead_letter) from tds_queue_counts), ${FEW_EVENTS})::float8
        as bytes_per_day`.execute(db);
  const [row] = rows;
  if (!row?.local || !row.directory) return undefined;
  const stats = await statfs(row.directory).catch(() => undefined);
  return (
    stats && { size: stats.blocks * stats.bsize, free: stats.bavail * stats.bsize, bytesPerDay: row.bytes_per_day }
  );
}

/** With fewer events the size of the database says nothing about theirs. */
const FEW_EVENTS = 10_000;

export const server: Examination[] = [slowStatements('pg_stat_statements'), diskExamination(readDisk)];
