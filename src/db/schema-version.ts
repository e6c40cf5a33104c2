import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { sql } from 'kysely';
import type { Database } from './database.ts';

export const MIGRATIONS_DIR = path.join(import.meta.dirname, '../../migrations');

/**
 * How a database's schema relates to this release: `behind` lacks migrations (all of them, where nothing was migrated
 * yet), `newer` has some that this release does not know.
 */
export type SchemaState = { state: 'current' | 'behind' | 'newer'; migrations: string[] };

const NAME = /^(\d{4}_\w+)\.ts$/;

/** Compares the migrations of this release with those a database has seen. Throws when the database is away. */
export async function schemaState(db: Database): Promise<SchemaState> {
  const [ours, theirs] = await Promise.all([migrationsOfRelease(), migrationsOfDatabase(db)]);
  const missing = ours.filter((name) => !theirs.includes(name));
  if (missing.length > 0) return { state: 'behind', migrations: missing };
  const unknown = theirs.filter((name) => !ours.includes(name));
  return unknown.length > 0 ? { state: 'newer', migrations: unknown } : { state: 'current', migrations: [] };
}

/** What is wrong with a schema and what to do about it, in a sentence; undefined for a current one. */
export function schemaAdvice({ state, migrations }: SchemaState): string | undefined {
  switch (state) {
    case 'current':
      return undefined;
    case 'behind':
      return `The database lacks ${migrations.join(', ')}. Run npm run migrate.`;
    case 'newer':
      return `The database was migrated by a newer release (${migrations.join(', ')}). Run that release.`;
  }
}

async function migrationsOfRelease(): Promise<string[]> {
  return (await readdir(MIGRATIONS_DIR)).flatMap((file) => NAME.exec(file)?.[1] ?? []);
}

async function migrationsOfDatabase(db: Database): Promise<string[]> {
  const { rows } = await sql<{ found: boolean }>`select to_regclass('tds_migrations') is not null as found`.execute(db);
  if (!rows[0]?.found) return [];
  const applied = await sql<{ name: string }>`select name from tds_migrations order by name`.execute(db);
  return applied.rows.map(({ name }) => name);
}
