import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Logger } from '../log.ts';
import { OutageLog } from '../outage-log.ts';
import { currentSpan, runIn } from '../tracing.ts';
import type { Schema } from './schema.ts';
import { startStatementSpan } from './statement-span.ts';

export type Database = Kysely<Schema>;

export type DatabaseOptions = {
  url: string;
  /** Most connections the pool opens. */
  max: number;
  /** Shown in pg_stat_activity. */
  applicationName: string;
  /** The server cancels a statement that runs longer; default: no limit. */
  statementTimeoutMs?: number;
  /** The server ends a transaction that sits idle longer, so that a frozen process frees its rows; default 15,000. */
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
  /** Told how long each statement took, in seconds, answered or not. */
  onStatement?: (seconds: number) => void;
  /** Told when the server goes away and comes back. Pools of one process share one; default: one of this pool's own. */
  outage?: OutageLog;
};

export type OpenDatabase = { db: Database; pool: pg.Pool; close(): Promise<void> };

const CONNECT_TIMEOUT_MS = 2000;
const QUERY_TIMEOUT_MS = 10_000;
/** Our own transactions send one statement after the other: one that is idle for so long has lost its client. */
const IDLE_IN_TRANSACTION_MS = 15_000;

/** How pg and pg-pool word these; they have no codes. */
const POOL_USED_UP = 'timeout exceeded when trying to connect';
const STATEMENT_GIVEN_UP = 'Query read timeout';

/**
 * Opens a pool and a Kysely instance over it. Connects lazily: a server that is down shows at the first statement.
 * bigint and numeric arrive as strings (pg's default), because 16-digit ids and money do not fit a double.
 */
export function openDatabase(options: DatabaseOptions): OpenDatabase {
  const pool = new pg.Pool(poolConfig(options));
  const outage = options.outage ?? (options.log && new OutageLog('database', options.log));
  surviveLostConnections(pool, outage, options.onStatement);
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
    idle_in_transaction_session_timeout: options.idleInTransactionTimeoutMs ?? IDLE_IN_TRANSACTION_MS,
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
    // Compiling a dashboard's statement, or starting processes for it, takes longer than running it, and takes the cores
    // from intake.
    ['jit', 'off'],
    ['max_parallel_workers_per_gather', '0'],
    ['plan_cache_mode', byIndex ? 'force_generic_plan' : 'auto'],
    ['enable_seqscan', byIndex ? 'off' : 'on'],
    ['enable_bitmapscan', byIndex ? 'off' : 'on'],
    // When the network forgets a connection, the server would keep the session and its locks for two hours. Without
    // effect over a Unix socket.
    ['tcp_keepalives_idle', '15'],
    ['tcp_keepalives_interval', '5'],
    ['tcp_keepalives_count', '3'],
    ['tcp_user_timeout', '30000'],
  ];
}

/**
 * A connection that dies emits 'error' on its client (busy) or on the pool (idle); without listeners either kills the
 * process (node-postgres #2112). The statement itself rejects as well, so telling the outage log is all there is to do.
 */
function surviveLostConnections(
  pool: pg.Pool,
  outage: OutageLog | undefined,
  onStatement: DatabaseOptions['onStatement'],
): void {
  const failed = (error: Error) => outage?.failed(error);
  pool.on('error', failed);
  pool.on('connect', (client) => {
    outage?.recovered();
    client.on('error', failed);
    watchStatements(client, outage, onStatement);
  });
  watchConnecting(pool, failed);
}

type Callback = (error?: Error, ...rest: unknown[]) => void;

/** Connections that cannot be made are told to nobody but the caller of `connect`, which is pg's own `pool.query` too. */
function watchConnecting(pool: pg.Pool, failed: (error: Error) => void): void {
  const connect = pool.connect.bind(pool) as (callback?: Callback) => Promise<pg.PoolClient> | undefined;
  // A pool that is used up is no outage: its connections work.
  const report = (error: Error) => error.message !== POOL_USED_UP && failed(error);
  const watched = (callback?: Callback) => {
    if (callback === undefined) return connect()?.catch((error: Error) => raise(error, report));
    // The pool may call back in the course of whoever gives a connection back.
    const span = currentSpan();
    const called: Callback = (...args) => runIn(span, () => callback(...args));
    return connect(before(called, (error) => error && report(error)));
  };
  pool.connect = watched as typeof pool.connect;
}

function raise(error: Error, report: (error: Error) => unknown): never {
  report(error);
  throw error;
}

/**
 * After 'Query read timeout' the client still waits for the old answer and every later statement queues behind it
 * (node-postgres #3399), yet Kysely returns it to the pool as if healthy. A client that is ending is not taken back.
 * Any other answer, also an error about the statement, proves that the server is there.
 */
function watchStatements(
  client: pg.PoolClient,
  outage: OutageLog | undefined,
  onStatement: DatabaseOptions['onStatement'],
): void {
  const query = client.query.bind(client) as (...args: unknown[]) => unknown;
  const answered = (error?: Error | null) => {
    if (error?.message === STATEMENT_GIVEN_UP) void (client as unknown as pg.Client).end();
    else if (!error || isAboutStatement(error)) outage?.recovered();
  };
  const watched = (...args: unknown[]) => {
    const startedAt = performance.now();
    const span = startStatementSpan(args[0]);
    const ended = (error?: Error | null) => {
      onStatement?.((performance.now() - startedAt) / 1000);
      if (error) span?.fail((error as { code?: string }).code ?? 'UnknownError');
      span?.end();
      answered(error);
    };
    const callback = args.at(-1);
    if (typeof callback === 'function') return query(...args.slice(0, -1), before(callback as Callback, ended));
    const result = query(...args);
    if (result instanceof Promise) result.then(() => ended(), ended);
    return result;
  };
  client.query = watched as typeof client.query;
}

/** An error of the server's that does not end the session: class 57P is a server that stops or is not up yet. */
function isAboutStatement(error: Error): boolean {
  return error instanceof pg.DatabaseError && !error.code?.startsWith('57P');
}

function before(callback: Callback, first: (error?: Error) => void): Callback {
  return (error, ...rest) => {
    first(error);
    callback(error, ...rest);
  };
}

async function closeOnce(db: Database, pool: pg.Pool): Promise<void> {
  // Kysely ends the pool only if it has used it; ending a pool twice throws.
  await db.destroy();
  if (!pool.ending && !pool.ended) await pool.end();
}
