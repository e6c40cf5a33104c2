import type { Transaction } from 'kysely';
import type { Schema } from '../../db/schema.ts';
import { announce } from './outbox.ts';
import { RULES } from './rules.ts';

/** A critical or warning incident that nobody has acknowledged is told again after so long. */
export const REMIND_MS = 4 * 60 * 60_000;

/** Repeats what fires unacknowledged. While processing is paused, what the pause explains stays quiet. */
export async function remind(trx: Transaction<Schema>, now: Date, isPaused: boolean): Promise<void> {
  const due = await trx
    .updateTable('tds_alerts')
    .set({ notified_at: now })
    .where('resolved_at', 'is', null)
    .where('acknowledged_at', 'is', null)
    .where('severity', '!=', 'info')
    .where('notified_at', '<=', new Date(now.getTime() - REMIND_MS))
    .$if(isPaused, (query) => query.where('rule', 'not in', QUIET))
    .returningAll()
    .execute();
  for (const incident of due) await announce(trx, now, 'reminder', incident);
}

const QUIET = RULES.filter((rule) => rule.quietWhilePaused).map((rule) => rule.rule);
