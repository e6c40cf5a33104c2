import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Logger } from '../log.ts';
import type { Schema } from './schema.ts';

export type Database = Kysely<Schema>;

export type DatabaseOptions = {
  url: string;
  /** Most connections the pool opens. */
  max: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** The server cancels a statement that runs longer; default: no limit. */
  statementTimeoutMs?: number;
  /** The server ends a transaction that sits idle longer, so that a frozen process frees its rows; default: no limit. */
  idleInTransactionTimeoutMs?: number;
  /**
   * Has PostgreSQL look rows up by index, whatever statistics say. For the queue, whose statements touch a few rows of
   * tables that are empty at one moment and large at the next: a plan made for an empty table reads a large one from
   * end to end, and so does one made for an array of 1,000 ids.
   */
  byIndex?: boolean;
  /** We give up on a statement after this long, even when the server has vanished; default 10,000; 0: never. */
  queryTimeoutMs?: number;
  log?: Logger;
};

export type OpenDatabase = { db: Database; pool: pg.Pool; close(): Promise<void> };

const CONNECT_TIMEOUT_MS = 2000;
const QUERY_TIMEOUT_MS = 10_000;

/**
 * Opens a pool and a Kysely instance over it. Connects lazily: a server that is down shows at the first statement.
 * bigint and numeric arrive as strings (pg's default), because 16-digit ids and money do not fit a double.
 */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  const pool = new pg.Pool(poolConfig(options));
  surviveLostConnections(pool, options.log);
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return { db, pool, close: () => closeOnce(db, pool) };
}

function poolConfig(options: DatabaseOptions): pg.PoolConfig {
  return {
    connectionString: options.url,
    max: options.max,
    application_name: options.applicationName,
    keepAlive: true,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: options.queryTimeoutMs ?? QUERY_TIMEOUT_MS,
    statement_timeout: options.statementTimeoutMs ?? 0,
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? 0,
    options: sessionSettings(options)
      .map(([name, value]) => `-c ${name}=${value.replaceAll(' ', '\\ ')}`)
      .join(' '),
  };
}

/** What our statements rely on, whatever the server, the database or the role has set. Times are shown in UTC. */
function sessionSettings({ byIndex = false }: DatabaseOptions): [name: string, value: string][] {
  return [
    ['timezone', 'UTC'],
    ['datestyle', 'ISO,YMD'],
    ['intervalstyle', 'postgres'],
    ['search_path', 'public'],
    ['default_transaction_isolation', 'read committed'],
    ['plan_cache_mode', byIndex ? 'force_generic_plan' : 'auto'],
    ['enable_seqscan', byIndex ? 'off' : 'on'],
  ];
}

/**
 * A connection that dies emits 'error' on its client (busy) or on the pool (idle); without listeners either kills the
 * process (node-postgres #2112). The statement itself rejects as well, so logging is all there is to do.
 */
function surviveLostConnections(pool: pg.Pool, log: Logger | undefined): void {
  const report = (error: Error) => log?.warn({ component: 'database', error }, 'database connection lost');
  pool.on('error', report);
  pool.on('connect', (client) => {
    client.on('error', report);
    destroyAfterTimeout(client);
  });
}

/**
 * After 'Query read timeout' the client still waits for the old answer and every later statement queues behind it
 * (node-postgres #3399), yet Kysely returns it to the pool as if healthy. A client that is ending is not taken back.
 */
function destroyAfterTimeout(client: pg.PoolClient): void {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  const guarded = (...args: unknown[]) => {
    const result = query(...args);
    if (result instanceof Promise) result.catch((error: Error) => dropIfTimedOut(client, error));
    return result;
  };
  client.query = guarded as typeof client.query;
}

function dropIfTimedOut(client: pg.PoolClient, error: Error): void {
  if (error.message === 'Query read timeout') void (client as unknown as pg.Client).end();
}

async function closeOnce(db: Database, pool: pg.Pool): Promise<void> {
  // Kysely ends the pool only if it has used it; ending a pool twice throws.
  await db.destroy();
  if (!pool.ending && !pool.ended) await pool.end();
}
