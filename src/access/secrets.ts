import { createHash, randomBytes } from 'node:crypto';
import type { Transaction } from 'kysely';
import { type Config, SETTINGS } from '../config.ts';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';

/** Enough to see a change, too little to find the value. */
const FINGERPRINT_BYTES = 4;

/**
 * Notes since when each secret setting has had its value, and forgets those that are no longer set. The value itself is
 * not stored. Every start of an API does it, so a change is dated at the start that brought it.
 */
export async function noteSecrets(db: Database, config: Config): Promise<void> {
  const values = secretsOf(config);
  await db.transaction().execute(async (trx) => {
    for (const [name, value] of values) await note(trx, name, value);
    await trx
      .deleteFrom('tds_secrets')
      .where('name', 'not in', ['', ...values.keys()])
      .execute();
  });
}

/** Name in the environment and value of each secret that is set. */
function secretsOf(config: Config): Map<string, string> {
  const set = Object.entries(SETTINGS).flatMap(([name, setting]) => {
    const value = JSON.stringify(config[name as keyof Config]);
    const isSet = value !== undefined && value !== JSON.stringify(setting.fallback);
    return 'secret' in setting && isSet ? [[setting.env, value] as const] : [];
  });
  return new Map(set.sort());
}

async function note(trx: Transaction<Schema>, name: string, value: string): Promise<void> {
  const known = await trx.selectFrom('tds_secrets').selectAll().where('name', '=', name).forUpdate().executeTakeFirst();
  if (known && fingerprint(known.salt, value).equals(known.fingerprint)) return;
  const salt = randomBytes(16);
  const row = { name, salt, fingerprint: fingerprint(salt, value), since: new Date() };
  await trx
    .insertInto('tds_secrets')
    .values(row)
    .onConflict((same) => same.column('name').doUpdateSet(row))
    .execute();
}

function fingerprint(salt: Buffer, value: string): Buffer {
  return createHash('sha256').update(salt).update(value).digest().subarray(0, FINGERPRINT_BYTES);
}
