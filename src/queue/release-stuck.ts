import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

/**
 * Sets events back to `pending` that a worker has had in hand for longer than `seconds`: the operations guide's "reset
 * stuck events". Costs no attempt. A worker that lives after all finds its lease gone, and its effects with it.
 * @returns how many events
 */
export async function releaseStuck(db: Kysely<Schema>, seconds: number): Promise<number> {
  const { rows } = await sql`
    update tds_sync_queue set status = 'pending', started_at = null where id in (${stuck(seconds)})
    returning pg_notify('tds_queue', '')`.execute(db);
  return rows.length;
}

/** How many events `releaseStuck` would set back. */
export async function countStuck(db: Kysely<Schema>, seconds: number): Promise<number> {
  const { rows } = await sql<{ n: number }>`select count(*)::int as n from (${stuck(seconds)}) s`.execute(db);
  return rows[0]?.n ?? 0;
}

// By way of the leases: no index of the queue knows the status.
function stuck(seconds: number): RawBuilder<unknown> {
  return sql`
    select q.id from tds_queue_leases l join tds_sync_queue q on q.id = any (l.ids) and q.lease = l.lease
    where q.started_at < now() - ${seconds} * interval '1 second'`;
}
