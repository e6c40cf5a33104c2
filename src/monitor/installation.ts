/** How an installation is, in detail: for operators only, as it names hosts, processes and quotas. */
import { statfs } from 'node:fs/promises';
import path from 'node:path';
import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type OldestTransaction = { age_seconds: number; pid: number; application_name: string; state: string | null };
export type Disk = { path: string; free_bytes: number; total_bytes: number; free_percent: number };
export type DatabaseDetails = {
  server_version: string;
  connections: number;
  max_connections: number;
  size_bytes: number;
  oldest_transaction: OldestTransaction | null;
  /** Null: the server is on another machine, or its data directory cannot be read from here. */
  disk: Disk | null;
};

/** @param dataDir where the embedded PostgreSQL keeps its data */
export async function readDatabaseDetails(db: Database, dataDir: string): Promise<DatabaseDetails> {
  const { rows } = await sql<Omit<DatabaseDetails, 'disk' | 'oldest_transaction'> & Server>`
    select current_setting('server_version') as server_version, current_setting('max_connections')::int as max_connections,
      pg_database_size(current_database())::float8 as size_bytes,
      (select count(*)::int from pg_stat_activity where backend_type = 'client backend') as connections,
      coalesce(inet_server_addr() <<= any ('{127.0.0.0/8,::1}'::inet[]), true) as is_local,
      (select setting from pg_settings where name = 'data_directory') as data_directory`.execute(db);
  const { is_local, data_directory, ...details } = rows[0] ?? ({} as (typeof rows)[0]);
  const disk = is_local ? await diskOf(data_directory, dataDir) : null;
  return { ...details, oldest_transaction: await oldestTransaction(db), disk };
}

type Server = { is_local: boolean; data_directory: string | null };

/** The setting is hidden from ordinary roles; the embedded server's is a name only it can follow. */
async function diskOf(setting: string | null, dataDir: string): Promise<Disk | null> {
  const directory = setting === null || setting.startsWith('/proc/') ? path.resolve(dataDir) : setting;
  try {
    const { bsize, bavail, blocks } = await statfs(directory);
    const [free_bytes, total_bytes] = [bavail * bsize, blocks * bsize];
    const free_percent = Math.round((1000 * free_bytes) / total_bytes) / 10;
    return { path: directory, free_bytes, total_bytes, free_percent };
  } catch {
    return null;
  }
}

async function oldestTransaction(db: Database): Promise<OldestTransaction | null> {
  const { rows } = await sql<OldestTransaction>`
    select greatest(0, extract(epoch from clock_timestamp() - xact_start))::float8 as age_seconds, pid,
      application_name, state
    from pg_stat_activity
    where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()
      and xact_start is not null
    order by xact_start limit 1`.execute(db);
  return rows[0] ?? null;
}

export type ZohoDetails = {
  organization_id: string;
  /** `refused`: Zoho will give no token until somebody acts; `none`: nothing has been called yet. */
  token: 'valid' | 'expired' | 'failing' | 'refused' | 'none';
  token_failure: string | null;
  day_limit: number | null;
  day_remaining: number | null;
  day_resets_at: Date | null;
  paused_until: Date | null;
  pause_reason: string | null;
  failures_in_a_row: number;
};

/** The token and the quota of every organization that has been called or asked for a token. */
export async function readZohoDetails(db: Database): Promise<ZohoDetails[]> {
  const { rows } = await sql<ZohoDetails>`
    with tokens as (
      select distinct on (organization_id) organization_id, failure,
        case when refused_at is not null then 'refused' when failure is not null then 'failing'
          when access_token is null then 'none' when expires_at > now() then 'valid' else 'expired' end as token
      from tds_zoho_tokens cross join unnest(organizations) as organization_id
      order by organization_id, generation desc)
    select organization_id, coalesce(t.token, 'none') as token, t.failure as token_failure, q.day_limit,
      case when q.day_resets_at > now() then q.day_remaining end as day_remaining,
      case when q.day_resets_at > now() then q.day_resets_at end as day_resets_at,
      case when q.paused_until > now() then q.paused_until end as paused_until,
      case when q.paused_until > now() then q.pause_reason end as pause_reason,
      coalesce(q.failures, 0) as failures_in_a_row
    from tokens t full join tds_zoho_quota q using (organization_id) order by organization_id`.execute(db);
  return rows;
}
