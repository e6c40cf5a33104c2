/** What must follow from tds_sync_queue at every moment, asked of the tables themselves. */
import type { Pool } from 'pg';

/** Every row that contradicts the queue; empty when all agrees. */
export async function disagreements(pool: Pool): Promise<unknown[]> {
  const found: unknown[] = [];
  // One after the other: a test may have few connections left.
  for (const [what, check] of Object.entries(CHECKS)) found.push(...(await contradictions(pool, what, check)));
  return found;
}

async function contradictions(pool: Pool, what: string, text: string): Promise<unknown[]> {
  const { rows } = await pool.query(text);
  return rows.map((row) => ({ what, ...row }));
}

const CHECKS = {
  counts: `
    select s.status, count(q.id)::int as rows, counted from (
      select unnest(array['pending', 'processing', 'retry', 'completed', 'dead_letter']) as status,
        unnest(array[sum(pending), sum(processing), sum(retry), sum(completed), sum(dead_letter)])::int as counted
      from tds_queue_counts) s left join tds_sync_queue q on q.status = s.status
    group by s.status, counted having count(q.id) <> coalesce(counted, 0)`,
  waiting: `
    select q.id, q.status, w.id as waiting from (select * from tds_sync_queue where status in ('pending', 'retry')) q
    full join tds_queue_waiting w on w.id = q.id and w.entity_key = q.entity_key and w.arrival = q.arrival
      and w.priority = q.priority and w.run_at = q.run_at and w.status = q.status and w.suspect = q.suspect
      and w.release_count = q.release_count
    where q.id is null or w.id is null`,
  'what is held by the pause of its type': `
    select q.id, q.event_type, w.held, w.due from tds_queue_waiting w join tds_sync_queue q on q.id = w.id
    where w.held <> exists (select from tds_event_type_pauses p
        where p.event_type in (q.event_type, split_part(q.event_type, '.', 1) || '.*')) or w.held and w.due`,
  'an event in hand without a claim on its entity': `
    select q.id from tds_sync_queue q where status = 'processing'
      and not exists (select from tds_queue_claims c where c.entity_key = q.entity_key and c.lease = q.lease)`,
  'a claim without an event in hand': `
    select entity_key from tds_queue_claims c
    where not exists (select from tds_sync_queue q where q.entity_key = c.entity_key and q.lease = c.lease)`,
  'an event in hand that its lease does not name': `
    select q.id from tds_sync_queue q where status = 'processing'
      and not exists (select from tds_queue_leases l where l.lease = q.lease and q.id = any (l.ids))`,
  'a lease without an event in hand': `
    select lease from tds_queue_leases l where not exists (select from tds_sync_queue q where q.lease = l.lease)`,
  'an entity in two hands': `
    select entity_key from tds_sync_queue where status = 'processing' group by entity_key having count(distinct lease) > 1`,
  'open dead letters': `
    select q.id as dead, d.id as open from (select id from tds_sync_queue where status = 'dead_letter') q
    full join (select id from tds_dead_letter_queue where resolved_at is null) d using (id) where q.id is null or d.id is null`,
  processed: `
    select q.id, q.status, i.processed from tds_sync_queue q join tds_inbox_events i on i.event_id = q.id
    where i.processed <> (q.status = 'completed')`,
};
