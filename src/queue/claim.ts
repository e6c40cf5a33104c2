import type { ClientBase } from 'pg';
import { claimSet } from './claim-set.ts';
import { AS_CLAIMED_ROW, ClaimedEvent, type ClaimedRow, EVENT_COLUMNS, QUARANTINE_REASON } from './event.ts';
import { byPlace, claimFrom, type LowWater } from './low-water.ts';

export type ClaimOptions = {
  workerId: string;
  /** At most this many events. */
  limit: number;
  /** 'together': all waiting events of an entity under one lease. 'each': the first of each entity, a lease each. */
  siblings: 'together' | 'each';
  /** Only a suspect of a crash, which must be the only event in its worker's hands. */
  alone?: boolean;
  /** Only events of these entities, in their order; those of others do not count. */
  entityKeys?: string[];
  withPayload: boolean;
};

/**
 * Claims waiting events: lower priority number first, then in order of arrival, and of one entity only when none of
 * its earlier events is unfinished. Each claim has a lease of its own; whoever finishes an event must still hold it.
 *
 * Why two workers never have events of one entity at once: an unfinished event is in exactly one of ready, claims and
 * delayed, in every snapshot. What another worker claims while this statement runs is still `ready` in our snapshot,
 * and cannot be locked: then the entity is left alone (`contested`).
 */
export async function claim(client: ClientBase, low: LowWater, options: ClaimOptions): Promise<ClaimedEvent[]> {
  const { alone = false, entityKeys } = options;
  if (alone) return claimGenerally(client, low, 'alone', { ...options, siblings: 'each' });
  if (entityKeys) return claimGenerally(client, low, 'entities', options);
  if (options.siblings === 'together' && !low.mixed) {
    const events = await claimSet(client, low, options);
    if (!low.mixed) return events;
  }
  return claimFrom(low, () => claimGenerally(client, low, 'first', options));
}

async function claimGenerally(
  client: ClientBase,
  low: LowWater,
  head: keyof typeof HEADS,
  { workerId, limit, siblings, entityKeys, withPayload }: ClaimOptions,
): Promise<ClaimedEvent[]> {
  const { rows } = await client.query<ClaimedRow>({
    name: `claim ${head} ${siblings} ${withPayload}`,
    text: claimSql(head, siblings, withPayload),
    values: [workerId, limit, low.claimXid, ...(head === 'entities' ? [entityKeys] : [low.priority, low.arrival])],
    ...AS_CLAIMED_ROW,
  });
  // Sorted here, not by PostgreSQL, which would carry every payload through the sort.
  return rows.map((row) => new ClaimedEvent(row)).sort(byPlace);
}

/**
 * Of an entity whose events are claimed one by one, so many are locked to claim the first. An event that was committed
 * after a later one of its entity had been claimed finds that one locked, and waits.
 */
const WITNESSES = 4;

// not in (select …) is hashed; `<> all (array)` would be searched from end to end. The `not exists` are one index probe
// per candidate.
// `locked` goes by ctid, so it locks just the rows that `chosen` saw.
// The head skips what others have locked: otherwise a second lane would choose the same events and get none of them
// (measured: 15,000 events per second with two lanes instead of 22,000).
// `(select gen_random_uuid())` is one lease for all: PostgreSQL evaluates a subquery that depends on nothing once.
const claimSql = (head: keyof typeof HEADS, siblings: ClaimOptions['siblings'], withPayload: boolean) => `
with head as materialized (${HEADS[head]}),
waiting as (
  select w.tid, w.arrival, w.entity_key, bool_or(w.alone) over entity as alone, row_number() over entity as nth
  from (select distinct entity_key from head) k cross join lateral (
    select r.ctid as tid, r.arrival, r.entity_key, r.alone from tds_queue_ready r
    where r.entity_key = k.entity_key order by r.arrival limit ${siblings === 'each' ? WITNESSES : '$2'}) w
  window entity as (partition by w.entity_key order by w.arrival)),
chosen as materialized (
  select tid, entity_key, nth from waiting where ${head === 'alone' ? 'alone' : 'not alone'} ${siblings === 'each' ? '' : 'order by arrival limit $2'}),
locked as materialized (
  select r.ctid as tid from tds_queue_ready r
  where r.ctid = any (array(select tid from chosen)) for update skip locked),
contested as (
  select entity_key from chosen where tid not in (select tid from locked)),
mine as (
  delete from tds_queue_ready r
  where r.ctid = any (array(select tid from chosen where entity_key not in (select entity_key from contested)
    ${siblings === 'each' ? 'and nth = 1' : ''}))
  returning r.queue_id),
leased as materialized (
  select queue_id, ${siblings === 'each' ? 'gen_random_uuid()' : '(select gen_random_uuid())'} as lease from mine),
claimed as (
  update tds_sync_queue q set status = 'processing', lease = m.lease, started_at = statement_timestamp()
  from leased m where q.id = m.queue_id and q.status in ('pending', 'retry')
  returning q.id, q.event_id, q.organization_id, q.event_type, q.entity_id, q.arrival, q.priority, q.attempt_count,
            q.dead_letter_id, q.entity_key, q.queued_at, q.lease),
held as (
  insert into tds_queue_claims (lease, worker_id, queue_ids, entity_keys)
  select lease, $1, array_agg(id), array_agg(distinct entity_key) from claimed group by lease returning claim_xid)
select ${EVENT_COLUMNS}, ${withPayload ? 'p.payload' : 'null'}, (select claim_xid from held limit 1), c.lease,
  ${QUARANTINE_REASON}, c.entity_key
from claimed c left join tds_inbox_payloads p using (event_id)`;

const MAY_RUN = `not (select paused from tds_queue_state)
    and r.entity_key not in (select unnest(entity_keys) from tds_queue_claims where claim_xid >= $3::bigint)
    and not exists (select from tds_queue_delayed d where d.entity_key = r.entity_key)`;

/** Whose events may be claimed: those at the head of the queue, the oldest suspects, or those that were asked for. */
const HEADS = {
  first: `
  select r.entity_key from tds_queue_ready r
  where (r.priority, r.arrival) >= ($4::int, $5::bigint) and not r.alone and ${MAY_RUN}
  order by r.priority, r.arrival limit $2 for update of r skip locked`,
  alone: `
  select r.entity_key from tds_queue_ready r
  where (r.priority, r.arrival) >= ($4::int, $5::bigint) and r.alone and ${MAY_RUN} and not exists (
      select from tds_queue_ready e where e.entity_key = r.entity_key and e.arrival < r.arrival)
  order by r.arrival limit $2`,
  entities: `
  select r.entity_key from unnest($4::bigint[]) as r (entity_key)
  where ${MAY_RUN} and exists (select from tds_queue_ready e where e.entity_key = r.entity_key) limit $2`,
};
