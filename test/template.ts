/**
 * Databases for tests. Migrating takes half a second and cloning a migrated template a tenth of that, so each state of
 * migrations/ has one template, which every test file clones.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { APP_ROLE, grantToServices } from '../src/db/app-role.ts';
import { openDatabase } from '../src/db/database.ts';
import { type EmbeddedPostgres, ensurePostgres } from '../src/db/embedded.ts';
import { migrateToLatest } from '../src/db/migrate.ts';
import { MIGRATIONS_DIR } from '../src/db/schema-version.ts';

type Server = { url: string; stop(): Promise<unknown> };

const TEMPLATE = `tds_test_template_${migrationsHash()}`;
const BUILD_LOCK = 7_370_002;

/** The server of DATABASE_URL, which is left alone, or the embedded one of this checkout. */
export async function testServer(): Promise<Server> {
  const url = process.env.DATABASE_URL;
  return url ? { url, stop: async () => undefined } : embeddedTestServer();
}

/** Shared by all test processes of this checkout; the last one that calls `stop` stops it. */
export function embeddedTestServer(): Promise<EmbeddedPostgres> {
  const checkout = createHash('sha256')
    .update(import.meta.dirname)
    .digest('hex')
    .slice(0, 8);
  return ensurePostgres(path.join(os.tmpdir(), `tds-test-${os.userInfo().uid}-${checkout}`));
}

/** Clones the migrated template, making it first when the migrations have changed. Returns the clone's URL. */
export async function cloneTemplate(serverUrl: string): Promise<string> {
  return withAdmin(serverUrl, async (admin) => {
    // Held until the session ends: one builder at a time, and nobody drops the template while it is being copied.
    await admin.query('select pg_advisory_lock($1)', [BUILD_LOCK]);
    const { rowCount } = await admin.query('select from pg_database where datname = $1', [TEMPLATE]);
    if (!rowCount) await buildTemplate(admin, serverUrl);
    return createDatabase(admin, serverUrl, TEMPLATE);
  });
}

/** A database without any table, for tests of the migrator itself. */
export async function emptyDatabase(t: { teardown(work: () => unknown): unknown }): Promise<string> {
  const server = await testServer();
  const url = await withAdmin(server.url, (admin) => createDatabase(admin, server.url, 'template0'));
  t.teardown(async () => {
    await dropDatabase(server.url, url);
    await server.stop();
  });
  return url;
}

/** The same database as the role of the services; on a server of somebody else's the role that he gave us. */
export function appUrlOf(url: string): string {
  return process.env.DATABASE_URL ? url : url.replace(/\/\/[^@/]*@/, `//${APP_ROLE}@`);
}

export async function dropDatabase(serverUrl: string, url: string): Promise<void> {
  await withAdmin(serverUrl, (admin) => admin.query(`drop database if exists "${databaseName(url)}" with (force)`));
}

async function createDatabase(admin: pg.Client, serverUrl: string, template: string): Promise<string> {
  const name = `tds_test_${process.pid}_${randomBytes(4).toString('hex')}`;
  await admin.query(`create database "${name}" template "${template}" encoding 'UTF8'`);
  return withDatabase(serverUrl, name);
}

/** Built under another name, so that a killed builder leaves no half template; older templates go. */
async function buildTemplate(admin: pg.Client, serverUrl: string): Promise<void> {
  const { rows } = await admin.query<{ datname: string }>(
    "select datname from pg_database where datname like 'tds\\_test\\_template\\_%'",
  );
  for (const { datname } of rows) await admin.query(`drop database "${datname}" with (force)`);
  const draft = `${TEMPLATE}_draft`;
  await admin.query(`create database "${draft}" template template0 encoding 'UTF8'`);
  await migrateDatabase(withDatabase(serverUrl, draft));
  await admin.query(`alter database "${draft}" rename to "${TEMPLATE}"`);
}

async function migrateDatabase(url: string): Promise<void> {
  const { db, close } = openDatabase({ url, max: 1, applicationName: 'tds-test-template' });
  const migrated = migrateToLatest(db).then(() => grantToServices(db));
  await migrated.finally(close);
}

async function withAdmin<T>(url: string, work: (admin: pg.Client) => Promise<T>): Promise<T> {
  const admin = new pg.Client({ connectionString: url, application_name: 'tds-test-admin' });
  await admin.connect();
  return work(admin).finally(() => admin.end());
}

function migrationsHash(): string {
  const hash = createHash('sha256');
  for (const file of readdirSync(MIGRATIONS_DIR).sort()) {
    if (file.endsWith('.ts')) hash.update(file).update(readFileSync(path.join(MIGRATIONS_DIR, file)));
  }
  hash.update(readFileSync(path.join(import.meta.dirname, '../src/db/app-role.ts')));
  return hash.digest('hex').slice(0, 12);
}

const DATABASE_IN_URL = /^(postgres(?:ql)?:\/\/[^/?]*)(\/[^?]*)?/;

function withDatabase(url: string, name: string): string {
  return url.replace(DATABASE_IN_URL, `$1/${name}`);
}

function databaseName(url: string): string {
  return DATABASE_IN_URL.exec(url)?.[2]?.slice(1) ?? '';
}
