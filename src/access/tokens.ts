import { createHash, randomBytes } from 'node:crypto';
import { sql } from 'kysely';
import type { Operator, Role } from '../config.ts';
import type { Database } from '../db/database.ts';

/** The person behind a request. Without tokens there is only one, 'local', who sits at the machine. */
export type Caller = Pick<Operator, 'name' | 'role'>;

export type TokenRow = {
  id: string;
  name: string;
  role: Role;
  created_at: Date;
  created_by: string;
  expires_at: Date;
  last_used_at: Date | null;
  revoked_at: Date | null;
  revoked_by: string | null;
};

/** A secret of 256 random bits, in the letters of a URL. */
export function newSecret(prefix: string): string {
  return prefix + randomBytes(32).toString('base64url');
}

/** What is stored of a token or a session, and compared. */
export function digestOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest();
}

/** Makes a token, which nobody can show again. Give it a transaction. `taken`: an unrevoked one has this name. */
export async function createToken(
  trx: Database,
  wish: { name: string; role: Role; days: number; by: string },
): Promise<{ outcome: 'created'; token: string; row: TokenRow } | { outcome: 'taken' }> {
  const token = newSecret('tds_');
  const { name, role, days, by } = wish;
  const row = await trx
    .insertInto('tds_tokens')
    .values({
      ...{ name, role, token_sha256: digestOf(token), created_by: by },
      expires_at: sql<Date>`now() + make_interval(days => ${days})`,
    })
    .onConflict((conflict) => conflict.column('name').where('revoked_at', 'is', null).doNothing())
    .returning(COLUMNS)
    .executeTakeFirst();
  return row ? { outcome: 'created', token, row } : { outcome: 'taken' };
}

const COLUMNS = [
  ...(['id', 'name', 'role', 'created_at', 'created_by', 'expires_at', 'last_used_at'] as const),
  ...(['revoked_at', 'revoked_by'] as const),
] as const;

/** All tokens, those that were made last first. */
export function listTokens(db: Database): Promise<TokenRow[]> {
  return db.selectFrom('tds_tokens').select(COLUMNS).orderBy('created_at', 'desc').orderBy('id').execute();
}

/** Ends a token and every session that was made from it, from the next request on. */
export async function revokeToken(
  trx: Database,
  id: string,
  by: string,
): Promise<{ outcome: 'revoked' | 'already' | 'not_found' }> {
  const known = await trx
    .selectFrom('tds_tokens')
    .select('revoked_at')
    .where('id', '=', id)
    .forUpdate()
    .executeTakeFirst();
  if (!known) return { outcome: 'not_found' };
  if (known.revoked_at) return { outcome: 'already' };
  const ended = { revoked_at: sql<Date>`now()`, revoked_by: by };
  await trx.updateTable('tds_tokens').set(ended).where('id', '=', id).execute();
  return { outcome: 'revoked' };
}

/** Whose token has this digest, unless it is revoked or has expired. */
export async function findToken(
  db: Database,
  digest: Buffer,
): Promise<{ caller: Caller; expiresAt: Date; isUsedAgain: boolean } | undefined> {
  const row = await db
    .selectFrom('tds_tokens')
    .select(['name', 'role', 'expires_at'])
    .select(sql<boolean>`coalesce(last_used_at < now() - interval '1 minute', true)`.as('is_used_again'))
    .where('token_sha256', '=', digest)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  if (!row) return undefined;
  const { name, role, expires_at, is_used_again } = row;
  return { caller: { name, role }, expiresAt: expires_at, isUsedAgain: is_used_again };
}

/** Notes that a token was used just now. */
export async function touchToken(db: Database, digest: Buffer): Promise<void> {
  const used = { last_used_at: sql<Date>`now()` };
  await db.updateTable('tds_tokens').set(used).where('token_sha256', '=', digest).execute();
}
