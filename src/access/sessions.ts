import { sql } from 'kysely';
import type { Database } from '../db/database.ts';

export type Session = { tokenDigest: Buffer; expiresAt: Date };

/** Keeps a browser session. One that is known already stays as it is. */
export async function saveSession(db: Database, digest: Buffer, { tokenDigest, expiresAt }: Session): Promise<void> {
  await db
    .insertInto('tds_sessions')
    .values({ session_sha256: digest, token_sha256: tokenDigest, expires_at: expiresAt })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** The session of this digest, unless it has expired or was ended. */
export async function findSession(db: Database, digest: Buffer): Promise<Session | undefined> {
  const row = await db
    .selectFrom('tds_sessions')
    .select(['token_sha256', 'expires_at'])
    .where('session_sha256', '=', digest)
    .where('expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  return row && { tokenDigest: row.token_sha256, expiresAt: row.expires_at };
}

/** Ends a session at once. */
export async function endSession(db: Database, digest: Buffer): Promise<void> {
  await db.deleteFrom('tds_sessions').where('session_sha256', '=', digest).execute();
}
