/** Brings a database's schema up to date. `npm run migrate`, and part of `npm start`. */
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import pg from 'pg';
import { processConfig } from '../config.ts';
import { isContention, isDatabaseAway, isLockTimeout, isServerUnableToWrite } from '../errors.ts';
import { APP_ROLE, grantToServices } from './app-role.ts';
import { type Database, openDatabase } from './database.ts';
import { purgeAudit } from './purge-audit.ts';
import { MIGRATIONS_DIR, schemaState } from './schema-version.ts';
import { checkServer } from './server-settings.ts';

const MIGRATION_TABLE = 'tds_migrations';
const MIGRATION_LOCK_TABLE = 'tds_migration_lock';
/** Long enough for a busy moment; short, because everybody else queues behind a waiting ACCESS EXCLUSIVE lock. */
const LOCK_TIMEOUT = '2s';
const RETRY_MS = 500;
const GIVE_UP_MS = 60_000;
const TELL_AFTER_MS = 1000;
const TELL_AGAIN_MS = 10_000;

type Migrations = Record<string, Migration>;

/**
 * Applies what is missing and returns the names, in order. Safe to run from several places at once: the migrator holds
 * an advisory lock. Locks that cannot be had and a database that is still starting are tried again for a minute. Where
 * nothing is missing it only reads, as the role of the services may.
 */
export async function migrateToLatest(db: Database): Promise<string[]> {
  if ((await patiently(() => schemaState(db))).state === 'current') return [];
  const files = await readMigrations();
  return patiently(() => db.connection().execute((connection) => migrate(connection, files)));
}

/** Repeats a piece of database work while the database, not the work, is to blame; a minute unless told otherwise. */
async function patiently<T>(work: () => Promise<T>, patienceMs = GIVE_UP_MS): Promise<T> {
  const giveUpAt = Date.now() + patienceMs;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!willPass(error) || Date.now() > giveUpAt) throw error;
      await sleep(RETRY_MS);
    }
  }
}

/** Everything run here is our own, so that a standby, a full disk or a lock is the server's condition. */
function willPass(error: unknown): boolean {
  return [isDatabaseAway, isLockTimeout, isContention, isServerUnableToWrite].some((applies) => applies(error));
}

async function readMigrations(): Promise<Migrations> {
  const names = (await readdir(MIGRATIONS_DIR)).filter((name) => /^\d{4}_\w+\.ts$/.test(name)).sort();
  const load = async (name: string) => {
    const migration: Migration = await import(pathToFileURL(path.join(MIGRATIONS_DIR, name)).href);
    return [path.basename(name, '.ts'), migration] as const;
  };
  return Object.fromEntries(await Promise.all(names.map(load)));
}

async function migrate(db: Database, files: Migrations): Promise<string[]> {
  await sql`select set_config('lock_timeout', ${LOCK_TIMEOUT}, false)`.execute(db);
  try {
    const migrations = { ...files, ...(await appliedByNewerRelease(db, files)) };
    const migrator = new Migrator({
      db,
      provider: { getMigrations: async () => migrations },
      migrationTableName: MIGRATION_TABLE,
      migrationLockTableName: MIGRATION_LOCK_TABLE,
    });
    const { error, results = [] } = await migrator.migrateToLatest();
    if (error) throw explained(error);
    return results.map((result) => result.migrationName);
  } finally {
    // The connection goes back to a pool. A dead one cannot be reset and need not be.
    await sql`reset lock_timeout`.execute(db).catch(() => undefined);
  }
}

const FOREIGN =
  'the tables of this database were made by an unreleased version of TDS Core: use an empty database, or another TDS_DATA_DIR';

const NOT_THE_OWNER =
  'the role of DATABASE_URL may not change the tables: migrate as their owner, as DEPLOYMENT.md describes (2. Database)';

function explained(error: unknown): unknown {
  if (isForeign(error)) return new Error(FOREIGN, { cause: error });
  const isDenied = error instanceof pg.DatabaseError && error.code === '42501';
  return isDenied ? new Error(NOT_THE_OWNER, { cause: error }) : error;
}

/** What Kysely says of a migration that it does not find among ours. */
function isForeign(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('corrupted migrations');
}

/**
 * After a rollback the database knows migrations that this release does not. The schema only ever grows, so the older
 * release works on it; without these stand-ins the migrator would call the database corrupt and refuse to start.
 */
async function appliedByNewerRelease(db: Database, files: Migrations): Promise<Migrations> {
  const exists = await sql<{ found: boolean }>`select to_regclass(${MIGRATION_TABLE}) is not null as found`.execute(db);
  if (!exists.rows[0]?.found) return {};
  const applied = await sql<{ name: string }>`select name from ${sql.table(MIGRATION_TABLE)}`.execute(db);
  const newest = Object.keys(files).at(-1) ?? '';
  const newer = applied.rows.filter(({ name }) => !(name in files) && name > newest);
  return Object.fromEntries(newer.map(({ name }) => [name, { up: async () => undefined }]));
}

export type PrepareOptions = {
  /** Production: refuse a server that could lose what it committed. */
  strict: boolean;
  report: (sentence: string) => void;
  warn?: (sentence: string) => void;
  /** How long to wait for a server that does not answer; default a minute. */
  patienceMs?: number;
  /** Entries of the audit log that are older go; default: none. */
  auditRetentionDays?: number | undefined;
};

/**
 * Checks the server at a URL, brings its schema up to date, gives the role of the services its rights and purges the
 * audit log, telling `report` in sentences what was done and, after a second, what it waits for.
 * @throws Error that names DATABASE_URL when no server answers in time or it lets us not in
 */
export async function prepareDatabase(url: string, options: PrepareOptions): Promise<void> {
  const { report, warn = (warning) => report(`warning: ${warning}`) } = options;
  const { db, close } = openDatabase({ url, max: 1, applicationName: 'tds-migrate', queryTimeoutMs: 0 });
  try {
    for (const warning of await whenItAnswers(url, options, () => checkServer(db, options))) warn(warning);
    const applied = await migrateToLatest(db);
    for (const name of applied) report(`applied ${name}`);
    report('the schema is current');
    if (await grantToServices(db)) report(`the role ${APP_ROLE} may work on it`);
    const purged = options.auditRetentionDays ? await purgeAudit(db, options.auditRetentionDays) : 0;
    if (purged > 0) report(`${purged} old entries of the audit log deleted`);
  } finally {
    await close();
  }
}

/** Repeats the first question to a server until it is answered, and says meanwhile which server it is and why not. */
async function whenItAnswers<T>(url: string, options: PrepareOptions, ask: () => Promise<T>): Promise<T> {
  const { report, patienceMs = GIVE_UP_MS } = options;
  const server = nameOf(url);
  let reason = 'no answer yet';
  const tell = () => report(`waiting for PostgreSQL at ${server} (DATABASE_URL): ${reason}`);
  const timers = [setTimeout(tell, TELL_AFTER_MS), setInterval(tell, TELL_AGAIN_MS)];
  const asking = async () => {
    try {
      return await ask();
    } catch (error) {
      reason = shortly(error);
      throw error;
    }
  };
  try {
    return await patiently(asking, patienceMs);
  } catch (error) {
    throw named(error, server, patienceMs);
  } finally {
    for (const timer of timers) clearTimeout(timer);
  }
}

/** Host, port and database of a URL, without user and password; of a Unix socket its directory. */
function nameOf(url: string): string {
  const { host, port, database } = new pg.Client({ connectionString: url });
  return host.startsWith('/') ? `${host}, database ${database}` : `${host}:${port}, database ${database}`;
}

function shortly(error: unknown): string {
  const { message, code } = error as { message?: string; code?: string };
  return message || code || 'no reason given'; // of several addresses that all refuse, Node gives only the code
}

function named(error: unknown, server: string, patienceMs: number): unknown {
  const reason = shortly(error);
  if (willPass(error)) {
    const waited = `no PostgreSQL answered at ${server} within ${Math.round(patienceMs / 1000)} s (${reason})`;
    return new Error(`${waited}: start it, or correct DATABASE_URL`, { cause: error });
  }
  const refused = error instanceof pg.DatabaseError || (error as NodeJS.ErrnoException).syscall !== undefined;
  return refused ? new Error(`PostgreSQL at ${server}: ${reason}: correct DATABASE_URL`, { cause: error }) : error;
}

/** `npm run migrate`: exit code 0 when the schema is current. */
async function main(): Promise<void> {
  const { databaseUrl, nodeEnv, auditRetentionDays } = processConfig('migrate');
  if (!databaseUrl)
    throw new Error('DATABASE_URL is not set: set it, or use npm start, which brings its own PostgreSQL');
  await prepareDatabase(databaseUrl, { strict: nodeEnv === 'production', report: console.log, auditRetentionDays });
}

if (import.meta.main) {
  await main().catch((error: Error) => {
    console.error(`migrate failed: ${error.message}`);
    process.exitCode = 1;
  });
}
