import { randomUUID } from 'node:crypto';
import type { ClientBase } from 'pg';
import { AS_CLAIMED_ROW, ClaimedEvent, type ClaimedRow, EVENT_COLUMNS, QUARANTINE_REASON } from './event.ts';
import { byPlace, claimFrom, type LowWater } from './low-water.ts';

/**
 * Claims the first events of the queue under one lease, in order of arrival: the cheap way, for the usual case that
 * all waiting events have the same priority and none is a suspect. Otherwise it claims nothing and says `low.mixed`.
 *
 * Of an entity it takes events only with all before them: what stands between the marks and its last event and could
 * not be locked is another's (`contested`), and what stands before the marks has come back late (`passed over`).
 *
 * The queue rows stay `pending`: `tds_queue_claims` says who has them, which is written once per set. Updating each row
 * twice cost a quarter of a drain. mark.ts shows as `processing` what takes longer than a moment.
 */
export async function claimSet(
  client: ClientBase,
  low: LowWater,
  { workerId, limit, withPayload }: { workerId: string; limit: number; withPayload: boolean },
): Promise<ClaimedEvent[]> {
  return claimFrom(low, async () => {
    const lease = randomUUID();
    const { rows } = await client.query<ClaimedRow>({
      name: `claim set ${withPayload}`,
      text: claimSetSql(withPayload),
      values: [workerId, limit, low.claimXid, low.priority, low.arrival, lease],
      ...AS_CLAIMED_ROW,
    });
    low.mixed = rows[0]?.[MIXED] === 't';
    return rows[0]?.[0] ? rows.map((row) => new ClaimedEvent(row, lease)).sort(byPlace) : [];
  });
}

const MIXED = 17;

// not in (select …): PostgreSQL hashes it, `<> all (array)` it searches from end to end.
// offset 0 keeps both subqueries what they are, index probes: as joins they became scans of all that waits.
const claimSetSql = (withPayload: boolean) => `
with head as materialized (
  select r.ctid as tid, r.queue_id, r.entity_key, r.priority, r.arrival from tds_queue_ready r
  where (r.priority, r.arrival) >= ($4::int, $5::bigint) and not r.alone and not (select paused from tds_queue_state)
    and r.entity_key not in (select unnest(entity_keys) from tds_queue_claims where claim_xid >= $3::bigint)
    and not exists (select from tds_queue_delayed d where d.entity_key = r.entity_key)
    and not exists (select from tds_queue_ready passed_over
                    where passed_over.entity_key = r.entity_key and passed_over.arrival < least($5::bigint, r.arrival)
                    offset 0)
  order by r.priority, r.arrival limit $2 for update of r skip locked),
mixed as materialized (
  select min(priority) <> max(priority) or exists (select from tds_queue_ready where alone) or coalesce(
    (select true from tds_queue_ready where priority > (select max(priority) from head)
     order by priority, arrival limit 1), false) as mixed from head),
seen as materialized (
  select max(priority) as priority, max(arrival) as last,
         case when max(priority) = $4::int then $5::bigint else 0 end as first from head),
contested as (
  select r.entity_key from seen cross join lateral (
    select q.entity_key, q.ctid as tid from tds_queue_ready q
    where q.priority = seen.priority and q.arrival >= seen.first and q.arrival <= seen.last offset 0) r
  where r.tid not in (select tid from head)),
mine as (
  delete from tds_queue_ready r
  where r.ctid = any (array(select tid from head
    where entity_key not in (select entity_key from contested) and not (select mixed from mixed)))
  returning r.queue_id),
claimed as materialized (
  select q.id, q.event_id, q.organization_id, q.event_type, q.entity_id, q.arrival, q.priority, q.attempt_count,
         q.dead_letter_id, q.entity_key, q.queued_at
  from mine m join tds_sync_queue q on q.id = m.queue_id where q.status in ('pending', 'retry')),
held as (
  insert into tds_queue_claims (lease, worker_id, queue_ids, entity_keys)
  select $6::uuid, $1::uuid, array_agg(id), array_agg(entity_key) from claimed having count(*) > 0 returning claim_xid)
select ${EVENT_COLUMNS}, ${withPayload ? 'p.payload' : 'null'}, (select claim_xid from held), null,
  ${QUARANTINE_REASON}, c.entity_key, mixed
from mixed left join claimed c on true left join tds_inbox_payloads p using (event_id)`;
