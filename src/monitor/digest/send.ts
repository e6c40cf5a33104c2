import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { put } from '../alerts/outbox.ts';
import { readDigest } from './read.ts';
import { digestText } from './text.ts';

const DAY_HOURS = 24;

/**
 * Puts the digest of the last day into the outbox. Every worker is asked at the same moment; one of them does it, which
 * a lock and a look at what was sent within the last half minute decide.
 */
export async function queueDigest(db: Database): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const { rows } = await sql<{ mine: boolean }>`
      select pg_try_advisory_xact_lock(hashtext('tds_digest')) as mine`.execute(trx);
    if (!rows[0]?.mine) return;
    const { rows: sent } = await sql`
      select from tds_outbox where kind = 'digest' union all
      select from tds_notifications where kind = 'digest' and created_at > now() - interval '30 seconds'`.execute(trx);
    if (sent.length > 0) return;
    const read = await readDigest(trx, DAY_HOURS);
    // Error texts stay in the house: they may quote a record.
    const digest = { ...read, new_causes: read.new_causes.map((cause) => ({ ...cause, message: '' })) };
    await put(trx, 'digest', { type: 'digest', text: digestText(digest), data: digest });
  });
}
