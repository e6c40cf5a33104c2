import { type Kysely, sql } from 'kysely';
import type { Schema } from '../db/schema.ts';

export type RetryResult = { outcome: 'retried'; queueId: string } | { outcome: 'not_found' } | { outcome: 'conflict' };

/**
 * Sends an open dead letter through the queue again. The new queue row has the dead letter's own id and replaces the
 * row that stood in `dead_letter`, so that counts by status and the list of open dead letters stay equal.
 * Of two at once, one succeeds; the other is told `conflict`. A queue row that somebody deleted in psql is no obstacle:
 * its entity_key is computed again, as in enqueue.ts.
 */
export async function retryDeadLetter(db: Kysely<Schema>, id: string): Promise<RetryResult> {
  const { rows } = await sql<{ id: string }>`
    with taken as (
      update tds_dead_letter_queue
      set resolved_at = now(), retry_count = retry_count + 1, last_retry_at = now()
      where id = ${id} and resolved_at is null
      returning id, queue_id, event_id, organization_id, event_type, entity_id),
    replaced as (
      delete from tds_sync_queue q using taken t where q.id = t.queue_id and q.status = 'dead_letter'
      returning q.entity_key, q.priority)
    insert into tds_sync_queue (id, event_id, dead_letter_id, entity_key, priority, organization_id, event_type, entity_id)
    select t.id, t.event_id, t.id, coalesce(r.entity_key, hashtextextended(
        coalesce(t.organization_id || ' ' || split_part(t.event_type, '.', 1) || ' ' || t.entity_id, t.event_id::text), 0)),
      coalesce(r.priority, 1), t.organization_id, t.event_type, t.entity_id
    from taken t left join replaced r on true
    on conflict (id) do nothing returning id`.execute(db);
  if (rows[0]) {
    await sql`select pg_notify('tds_queue', '')`.execute(db);
    return { outcome: 'retried', queueId: rows[0].id };
  }
  const known = await db.selectFrom('tds_dead_letter_queue').select('id').where('id', '=', id).executeTakeFirst();
  return { outcome: known ? 'conflict' : 'not_found' };
}
