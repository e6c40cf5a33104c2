import type { Kysely } from 'kysely';
import { sql } from 'kysely';
import type { Pool } from 'pg';
import type { Schema } from '../db/schema.ts';
import { isContention } from '../errors.ts';

export type PauseState = {
  paused: boolean;
  /** Null unless paused, and so are the others. */
  paused_at: Date | null;
  paused_by: string | null;
  reason: string | null;
  /** Event types that are paused by themselves, the longest first. */
  event_types: EventTypePause[];
};

export type EventTypePause = { event_type: string; paused_at: Date; paused_by: string; reason: string };

/**
 * Stops all claiming, in every worker, until `resume`. Events that are being processed finish. A queue that is paused
 * stays as it is: the first reason stands.
 */
export async function pause(
  db: Kysely<Schema>,
  operator: string,
  reason: string | null,
): Promise<'paused' | 'already'> {
  const { numUpdatedRows } = await db
    .updateTable('tds_queue_state')
    .set({ paused: true, paused_at: sql<Date>`now()`, paused_by: operator, reason })
    .where('paused', '=', false)
    .executeTakeFirst();
  return numUpdatedRows > 0n ? 'paused' : 'already';
}

/** Lets claiming go on. */
export async function resume(db: Kysely<Schema>): Promise<'resumed' | 'already'> {
  const { numUpdatedRows } = await db
    .updateTable('tds_queue_state')
    .set({ paused: false, paused_at: null, paused_by: null, reason: null })
    .where('paused', '=', true)
    .executeTakeFirst();
  await sql`select pg_notify('tds_queue', '')`.execute(db);
  return numUpdatedRows > 0n ? 'resumed' : 'already';
}

/**
 * Stops claiming events of one type, `invoice.updated`, or of a module, `invoice.*`, until `resumeEventType`. They wait
 * as events do whose time has not come, so each holds back the later events of its entity; what is in hand finishes. For
 * the moment of the change nobody writes the queue: see migrations/0029_operators.ts. Of a large backlog the rest is held
 * by `settlePauses`, while events go on arriving and nothing is claimed. A type that is paused stays as it is. Give it a
 * transaction.
 */
export async function pauseEventType(
  trx: Kysely<Schema>,
  event_type: string,
  paused_by: string,
  reason: string,
): Promise<'paused' | 'already'> {
  await sql.raw(LOCK_TIMEOUT).execute(trx);
  const { numInsertedOrUpdatedRows } = await trx
    .insertInto('tds_event_type_pauses')
    .values({ event_type, paused_by, reason })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirstOrThrow();
  return numInsertedOrUpdatedRows ? 'paused' : 'already';
}

/** Lets events of a type be claimed that `pauseEventType` stopped. Give it a transaction. */
export async function resumeEventType(trx: Kysely<Schema>, eventType: string): Promise<'resumed' | 'already'> {
  await sql.raw(LOCK_TIMEOUT).execute(trx);
  const { numDeletedRows } = await trx
    .deleteFrom('tds_event_type_pauses')
    .where('event_type', '=', eventType)
    .executeTakeFirst();
  return numDeletedRows > 0n ? 'resumed' : 'already';
}

/**
 * Holds or lets go what waits, a thousand events a transaction, until it agrees with the pauses by event type. What a
 * process that dies leaves, the next one goes on with; while another one is at it this returns. Every worker does this once a second, which costs one look when
 * there is nothing to do.
 * @param signal ends it after a batch
 */
export async function settlePauses(pool: Pick<Pool, 'query'>, signal?: AbortSignal): Promise<void> {
  for (;;) {
    try {
      const { rows } = await pool.query<{ settled: boolean | null }>(SETTLE);
      if (rows[0]?.settled !== false || signal?.aborted) return;
    } catch (error) {
      // A claim and a batch may each hold a row that the other one wants: nothing of the batch was done.
      if (!isContention(error)) throw error;
    }
  }
}

const SETTLE = { name: 'settle pauses', text: 'select tds_settle_pauses() as settled' };

/** Behind a lock that waits, everybody waits who writes the queue: webhooks too. */
const LOCK_TIMEOUT = `set local lock_timeout = '2s'`;

/** Whether claiming is stopped, of everything or of which event types, since when, by whom and why. */
export async function pauseState(db: Kysely<Schema>): Promise<PauseState> {
  const [state, event_types] = await Promise.all([
    db.selectFrom('tds_queue_state').select(['paused', 'paused_at', 'paused_by', 'reason']).executeTakeFirstOrThrow(),
    db
      .selectFrom('tds_event_type_pauses')
      .select(['event_type', 'paused_at', 'paused_by', 'reason'])
      .orderBy('paused_at')
      .orderBy('event_type')
      .execute(),
  ]);
  return { ...state, event_types };
}
