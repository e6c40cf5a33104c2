/** Events of the past, as the pipeline would have left them, by the thousand. */
import type { Pool } from 'pg';
import type { Status } from '../../src/queue/vocabulary.ts';

export type Aged = { days: number; status?: Status; count?: number; module?: string };

/** A version 7 UUID of a time in the past (RFC 9562), as SQL. */
const idAt = (time: string) => `(lpad(to_hex((extract(epoch from ${time}) * 1000)::bigint), 12, '0') || '7'
  || substr(md5(random()::text), 1, 3) || '8' || substr(md5(random()::text), 1, 15))::uuid`;

// `offset 0`: the id is drawn once per row.
const AGED = `
with event as materialized (
  select id, at, n from (select n, now() - $2 * interval '1 day' + n * interval '1 microsecond' as at
    from generate_series(1, $1::int) n) s cross join lateral (select ${idAt('s.at')} as id offset 0) i),
inbox as (
  insert into tds_inbox_events (event_id, dedupe_key, received_at, organization_id, module, event_type, entity_id)
  select id, id, at, '1', $4, $4 || '.updated', 'aged-' || id from event),
payloads as (
  insert into tds_inbox_payloads (event_id, source, payload) select id, 'webhook', '{"aged":true}' from event),
logs as (
  insert into tds_sync_logs (queue_id, created_at, attempt, status) select id, at, 1, 'completed' from event)
insert into tds_sync_queue (id, entity_key, queued_at, run_at, organization_id, event_type, entity_id, status, lease, completed_at)
select id, tds_entity_key('1', $4, 'aged-' || id, id), at, at, '1', $4 || '.updated', 'aged-' || id, $3::text,
  case when $3 = 'processing' then id end, case when $3 = 'completed' then at end
from event order by at returning id`;

/** Adds `count` events (1) that arrived so many days ago and stand in `status` (completed). Returns their ids. */
export async function addAged(pool: Pool, { days, status = 'completed', count = 1, module = 'invoice' }: Aged) {
  const { rows } = await pool.query<{ id: string }>(AGED, [count, days, status, module]);
  if (status === 'completed')
    await pool.query(
      `update tds_inbox_events i set processed = true, processed_at = i.received_at
       from unnest($1::uuid[]) as e (id) where i.event_id = e.id`,
      [rows.map(({ id }) => id)],
    );
  return rows.map(({ id }) => id);
}
