/**
 * The PostgreSQL that `npm start` and the tests bring along: from an npm package, on a Unix socket only, fsync on.
 * Several processes may use one home at once: the first starts the server, the last one out stops it, and any of them
 * (or the server) may be killed at any moment.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { APP_ROLE } from './app-role.ts';
import {
  ensureData,
  findPrograms,
  type Home,
  letIn,
  openHome,
  SPAWN_OPTIONS,
  WORKING_DIRECTORY,
} from './embedded-files.ts';

export type EmbeddedPostgres = {
  /** As the owner of the tables, who migrates. */
  url: string;
  /** As the role of the services. */
  appUrl: string;
  /** Stops the server unless somebody else uses it; true when it is down. */
  stop(): Promise<boolean>;
  /** Resolves when the server goes away without our having stopped it. */
  lost: Promise<void>;
};

const USER = 'tds';
const LAUNCHER = 'tds-launcher';
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 25;
const CONNECT_TIMEOUT_MS = 2000;
/** Held shared by everybody who uses the server, and exclusively by the one who stops it. */
const IN_USE_LOCK = 7_370_001;

const SETTINGS = [
  'listen_addresses=',
  'unix_socket_permissions=0700',
  // POSIX shared memory needs /dev/shm, which containers keep small or leave out.
  'dynamic_shared_memory_type=mmap',
  'max_connections=100',
  'timezone=UTC',
  'log_timezone=UTC',
  'jit=off',
];

/** Attaches to the server of this home or starts it; makes the database. Throws with the log's path if it will not. */
export async function ensurePostgres(homeDir: string, database = 'tds'): Promise<EmbeddedPostgres> {
  const home = openHome(homeDir);
  const giveUpAt = Date.now() + START_TIMEOUT_MS;
  for (;;) {
    const client = (await connect(home)) ?? (await start(home, giveUpAt));
    try {
      await client.query('select pg_advisory_lock_shared($1)', [IN_USE_LOCK]);
      await createUnlessThere(client, `database "${database}"`, 'select from pg_database where datname = $1', database);
      await createAppRole(client, home);
      return using(home, client, database);
    } catch (error) {
      // The lock was waited for while the last user stopped the server: start it again.
      if (Date.now() > giveUpAt || !isGone(error)) throw error;
    }
  }
}

function using(home: Home, client: pg.Client, database: string): EmbeddedPostgres {
  const { promise: lost, resolve: reportLost } = Promise.withResolvers<void>();
  client.on('end', reportLost);
  setRef(client, false); // holding the lock must not keep a process alive
  const urlOf = (user: string) => `postgresql://${user}@/${database}?host=${encodeURIComponent(home.socketDir)}`;
  let stopped: Promise<boolean> | undefined;
  const stop = () => {
    client.off('end', reportLost);
    setRef(client, true);
    stopped ??= stopIfUnused(home, client);
    return stopped;
  };
  return { url: urlOf(USER), appUrl: urlOf(APP_ROLE), stop, lost };
}

/** pg has both methods; its types know neither. */
function setRef(client: pg.Client, hold: boolean): void {
  const socket = client as pg.Client & { ref(): void; unref(): void };
  if (hold) socket.ref();
  else socket.unref();
}

async function connect(home: Home): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    host: home.socketDir,
    user: USER,
    database: 'postgres',
    application_name: LAUNCHER,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
  });
  client.on('error', () => undefined); // 'end' follows, and is listened to
  try {
    await client.connect();
    return client;
  } catch {
    await client.end().catch(() => undefined);
    return undefined;
  }
}

/** Starts servers until one can be connected to, ours or that of another process that was faster. */
async function start(home: Home, giveUpAt: number): Promise<pg.Client> {
  const programs = findPrograms(home);
  ensureData(programs, home);
  let server: ChildProcess | undefined;
  for (;;) {
    const client = await connect(home);
    if (client) return client;
    if (Date.now() > giveUpAt) throw new Error(`PostgreSQL did not start: see ${logFile(home)}`);
    if (!isRunning(server)) {
      // It lost the race for the lock file, or a killed server's backends are still leaving: again in a moment.
      if (server) await sleep(300);
      removeStaleLocks(home);
      server = spawnServer(programs, home);
    }
    await sleep(POLL_MS);
  }
}

function isRunning(server: ChildProcess | undefined): boolean {
  return server?.pid !== undefined && server.exitCode === null && server.signalCode === null;
}

/** Detached: Ctrl-C goes to the whole foreground group and must not reach the server before its clients are done. */
function spawnServer(programs: string, home: Home): ChildProcess {
  const log = fs.openSync(logFile(home), 'a');
  const settings = SETTINGS.flatMap((setting) => ['-c', setting]);
  const args = ['-D', WORKING_DIRECTORY, '-k', home.socketDir, ...settings];
  const server = spawn(path.join(programs, 'postgres'), args, {
    ...SPAWN_OPTIONS,
    cwd: home.data,
    detached: true,
    stdio: ['ignore', log, log],
  });
  server.on('error', () => undefined); // shows as a server that is not running
  server.unref();
  fs.closeSync(log);
  return server;
}

function logFile(home: Home): string {
  return path.join(home.dir, 'postgres.log');
}

function pidFile(home: Home): string {
  return path.join(home.data, 'postmaster.pid');
}

/**
 * After kill -9 the lock files stay, and PostgreSQL believes them as long as any process has that pid: one that was
 * re-used, or a zombie in a container whose init does not reap.
 */
function removeStaleLocks(home: Home): void {
  for (const file of [pidFile(home), path.join(home.socketDir, '.s.PGSQL.5432.lock')]) {
    const pid = readPid(file);
    if (pid !== undefined && !servesFrom(pid, home)) fs.rmSync(file, { force: true });
  }
}

function readPid(file: string): number | undefined {
  try {
    const pid = Number.parseInt(fs.readFileSync(file, 'utf8'), 10);
    return Number.isNaN(pid) ? undefined : pid;
  } catch {
    return undefined;
  }
}

/** A postmaster's working directory is its data directory; a zombie has none. */
function servesFrom(pid: number, home: Home): boolean {
  try {
    return fs.readlinkSync(`/proc/${pid}/cwd`) === fs.realpathSync(home.data);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES'; // somebody else's process: PostgreSQL shall decide
  }
}

/** A server that an older release started and that still runs does not let this role in yet. */
async function createAppRole(client: pg.Client, home: Home): Promise<void> {
  const look = 'select from pg_roles where rolname = $1';
  if (!(await createUnlessThere(client, `role ${APP_ROLE} login`, look, APP_ROLE))) return;
  letIn(home);
  await client.query('select pg_reload_conf()');
}

/** @returns false when it was there */
async function createUnlessThere(client: pg.Client, what: string, look: string, name: string): Promise<boolean> {
  const { rowCount } = await client.query(look, [name]);
  if (rowCount) return false;
  await client.query(`create ${what}`).catch((error: pg.DatabaseError) => {
    // 42P04 or 42710, or 23505 when both insert at the same moment: another process was faster.
    if (!['42P04', '42710', '23505'].includes(error.code ?? '')) throw error;
  });
  return true;
}

/**
 * The exclusive lock says that no other process holds the server through this module; who asks for it from now on
 * waits, sees the server go and starts it again. Other clients (psql, a worker) show in pg_stat_activity.
 */
async function stopIfUnused(home: Home, client: pg.Client): Promise<boolean> {
  try {
    await client.query('select pg_advisory_unlock_shared($1)', [IN_USE_LOCK]);
    const unused = (await tryLock(client)) && !(await hasOtherClients(client));
    if (unused) stopServer(home);
    await client.end();
    if (unused) await whenGone(home);
    return unused;
  } catch (error) {
    if (!isGone(error)) throw error;
    return (await connect(home).then((other) => other?.end().then(() => false))) ?? true;
  }
}

async function tryLock(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query('select pg_try_advisory_lock($1) as locked', [IN_USE_LOCK]);
  return rows[0].locked;
}

/** Looks more than once: the backends of connections that were just closed take a moment to leave. */
async function hasOtherClients(client: pg.Client): Promise<boolean> {
  for (let looks = 0; looks < 10; looks++) {
    const { rowCount } = await client.query(
      "select from pg_stat_activity where backend_type = 'client backend' and application_name <> $1",
      [LAUNCHER],
    );
    if (rowCount === 0) return false;
    await sleep(POLL_MS);
  }
  return true;
}

/** SIGINT is PostgreSQL's fast shutdown: sessions end, everything reaches the disk. */
function stopServer(home: Home): void {
  const pid = readPid(pidFile(home));
  if (pid !== undefined && servesFrom(pid, home)) process.kill(pid, 'SIGINT');
}

async function whenGone(home: Home): Promise<void> {
  const giveUpAt = Date.now() + START_TIMEOUT_MS;
  while (fs.existsSync(pidFile(home)) && Date.now() < giveUpAt) await sleep(POLL_MS);
}

/** True for the errors of a client whose server has stopped or is stopping. */
function isGone(error: unknown): boolean {
  const { code = '', message = '' } = error as { code?: string; message?: string };
  return code.startsWith('57P') || ['ECONNRESET', 'EPIPE'].includes(code) || /^(Connection|Client)/.test(message);
}
