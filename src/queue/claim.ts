import { randomUUID } from 'node:crypto';
import { escapeLiteral, type Pool, type PoolClient } from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { isContention, isLockTimeout } from '../errors.ts';
import { AS_CLAIMED_ROW, byArrival, ClaimedEvent, type ClaimedRow, eventColumns, PAYLOAD_OF_Q } from './event.ts';
import type { LowWater, Place } from './low-water.ts';

export type ClaimOptions = {
  workerId: string;
  /** At most this many events. */
  limit: number;
  /** At most this many of one entity: its first ones, in order of arrival. */
  perEntity: number;
  /** Stops after the event with which their payloads reach so many bytes. */
  maxBytes: number;
  /**
   * `head`: the most urgent entities. `suspects`: events that were being processed when their worker died. A list:
   * only these entities, by entity key.
   */
  from: 'head' | 'suspects' | string[];
  withPayload: boolean;
};

/**
 * Claims waiting events: entities by lower priority number, then by arrival; of one entity the first events in order
 * of arrival. Returns them in order of arrival, all in `processing` under one new lease.
 *
 * One short transaction of two statements. The first takes entities: the primary key of `tds_queue_claims` lets nobody
 * else have one of them until its events have ended. The second runs in a fresh snapshot, taken while they are ours,
 * and so sees every event of theirs as it is: what another worker did with them is committed by then.
 *
 * Locks: the worker's own in share mode, by which `drainWorkers` waits for claims; then rows of `tds_queue_waiting`
 * (skipping locked ones), then rows of `tds_queue_claims` in order of entity key, then rows of `tds_sync_queue`; for each
 * at most 200 ms, then again around the rows that somebody holds.
 * The commit does not wait for the disk: a claim that a crash of PostgreSQL undoes was never made.
 */
export async function claim(pool: Pool, low: LowWater, options: ClaimOptions): Promise<ClaimedEvent[]> {
  const from = (place: Place) => claimAround(pool, place, options);
  return options.from === 'head' ? low.claimFrom(from) : from(low.place);
}

/** Whether this worker could claim a suspect right now. */
export async function hasFreeSuspects(pool: Pool, workerId: string): Promise<boolean> {
  const { rows } = await pool.query(`select ${freeSuspects('$1')} limit 1`, [workerId]);
  return rows.length > 0;
}

/** Until when, by `performance.now()`, claims of a pool pass over rows that somebody holds. */
const carefulUntil = new WeakMap<Pool, number>();
const CAREFUL_MS = 10_000;
const TRIES = 4;

/**
 * Somebody may hold rows of the queue for as long as they like: an operator whose transaction is open in psql. Claims
 * that waited for those would claim nothing else. Passing over them costs a lock per row, so it begins with a wait.
 * That wait also ends a deadlock of two claims early: one may hold a row of an entity that the other is taking.
 */
async function claimAround(pool: Pool, place: Place, options: ClaimOptions): Promise<ClaimedEvent[]> {
  for (let tries = 1; ; tries += 1) {
    const passOver = (carefulUntil.get(pool) ?? 0) > performance.now();
    try {
      return await inTransaction(pool, (client) => claimFrom(client, place, options, passOver), claimBegin(options));
    } catch (error) {
      if (tries === TRIES || !(isLockTimeout(error) || isContention(error))) throw error;
      carefulUntil.set(pool, performance.now() + CAREFUL_MS);
    }
  }
}

async function claimFrom(
  client: PoolClient,
  place: Place,
  options: ClaimOptions,
  passOver: boolean,
): Promise<ClaimedEvent[]> {
  const lease = randomUUID();
  const entityKeys = await takeEntities(client, lease, place, options);
  return entityKeys.length > 0 ? takeEvents(client, lease, entityKeys, options, passOver) : [];
}

/** All in one message; the first statement after it sees whether the worker was drained before it had its lock. */
function claimBegin({ workerId }: ClaimOptions): string {
  return `begin; set local synchronous_commit = off; set local lock_timeout = '200ms';
    select pg_advisory_xact_lock_shared(hashtextextended(${escapeLiteral(workerId)}, 0))`;
}

async function takeEntities(
  client: PoolClient,
  lease: string,
  place: Place,
  { workerId, limit, from }: ClaimOptions,
): Promise<string[]> {
  const [name, where] = Array.isArray(from)
    ? (['listed', [from]] as const)
    : ([from, headValues(from, place)] as const);
  const { rows } = await client.query<[string]>({
    name: `claim entities ${name}`,
    text: takeEntitiesSql(CANDIDATES[name]),
    values: [lease, limit, workerId, ...where],
    ...AS_CLAIMED_ROW,
  });
  return rows.map(([key]) => key);
}

function headValues(from: 'head' | 'suspects', { priority, arrival }: Place) {
  return from === 'head' ? [priority, arrival] : [];
}

async function takeEvents(
  client: PoolClient,
  lease: string,
  entityKeys: string[],
  { workerId, limit, perEntity, maxBytes, from, withPayload }: ClaimOptions,
  passOver: boolean,
): Promise<ClaimedEvent[]> {
  const kind = from === 'suspects' ? 'suspect' : 'due';
  const { rows } = await client.query<ClaimedRow>({
    name: `claim events ${kind} ${withPayload} ${passOver}`,
    text: takeEventsSql(kind, withPayload, passOver),
    // Written as PostgreSQL reads an array: pg's own writer looks into each of 1,000 keys for what must be escaped.
    values: [lease, `{${entityKeys.join()}}`, limit, perEntity, maxBytes, workerId],
    ...AS_CLAIMED_ROW,
  });
  // Sorted here, not by PostgreSQL, which would carry every payload through the sort.
  return rows.map((row) => new ClaimedEvent(row, lease)).sort(byArrival);
}

// `offset 0` keeps each subquery an index look-up per candidate: as a join it becomes a scan of all that waits.
// Claims are looked up one by one for the same reason: under an old snapshot their table keeps every row that passed.
const free = (workerId: '$1' | '$3') => `not (select paused from tds_queue_state)
    and not exists (select from tds_event_type_pauses where not settled)
    and not exists (select from tds_workers where worker_id = ${workerId} and drained_at is not null)
    and not exists (select from tds_queue_claims c where c.entity_key = w.entity_key offset 0)`;
// `order by … limit 1`: there is one index in this order. By the bare condition the planner may take another one, and
// read everything that is not due for each candidate.
const FIRST_IS_DUE = `not exists (select from (select b.arrival from tds_queue_waiting b
      where b.entity_key = w.entity_key and not b.due order by b.arrival limit 1) b where b.arrival < w.arrival)`;

/** Suspects that may run: of an entity only what nothing else is waiting before. */
const freeSuspects = (workerId: '$1' | '$3') => `from tds_queue_waiting w
    where w.suspect and not w.held and ${free(workerId)} and not exists (select from tds_queue_waiting b
      where b.entity_key = w.entity_key and b.arrival < w.arrival offset 0)`;

/** Whose events may be claimed. Rows that another claim looks at are passed over, not waited for. */
const CANDIDATES = {
  head: `select w.entity_key from tds_queue_waiting w
    where w.due and (w.priority, w.arrival) >= ($4::int, $5::bigint) and ${free('$3')} and ${FIRST_IS_DUE}
    order by w.priority, w.arrival limit $2 for update of w skip locked`,
  suspects: `select w.entity_key ${freeSuspects('$3')} order by w.arrival limit $2 for update of w skip locked`,
  listed: `select w.entity_key from unnest($4::bigint[]) as w (entity_key)
    where ${free('$3')} and exists (select from tds_queue_waiting a where a.entity_key = w.entity_key and a.due offset 0)
    limit $2`,
} as const;

// In order of entity key, so that two claims can never wait for each other in a circle.
const takeEntitiesSql = (candidates: string) => `
with candidate as materialized (${candidates})
insert into tds_queue_claims (entity_key, lease)
select entity_key, $1 from (select distinct entity_key from candidate) e order by entity_key
on conflict (entity_key) do nothing returning entity_key`;

/** Of `chosen`, what nobody holds, and of an entity nothing behind what somebody holds. */
const HELD_BY_NOBODY = `,
locked as materialized (
  select id from tds_sync_queue where id = any (array(select id from chosen)) for update skip locked),
free as materialized (
  select id from (
    select id, bool_and(id in (select id from locked)) over (partition by entity_key order by arrival) as may_run
    from chosen) c where may_run)`;

// `line`: an entity's events in order of arrival. None may be taken from the first on that has to wait.
// status || '': statistics of a moment in which nothing waited would have the planner read the whole table.
// `together`: which events of an entity were taken with others. `spared`: entities of which nothing was taken after all.
// Mostly there is neither, and comparing numbers says so without a look at each entity.
// `several`: by row address, so that each claim is looked up; the planner, which thinks that there is one claim, would
// otherwise go through `together` for every claim of the set.
const takeEventsSql = (kind: 'due' | 'suspect', withPayload: boolean, passOver: boolean) => `
with line as (
  select w.id, w.entity_key, w.arrival, w.payload_bytes, row_number() over entity as place,
    bool_and(w.${kind} and not w.held) over entity as may_run
  from unnest($2::bigint[]) as e (entity_key) cross join lateral (
    select id, entity_key, arrival, payload_bytes, due, suspect, held from tds_queue_waiting
    where entity_key = e.entity_key order by arrival limit least($3::int, $4::int)) w
  window entity as (partition by w.entity_key order by w.arrival)),
sized as (
  select id, entity_key, arrival, place, sum(payload_bytes) over (order by arrival) - payload_bytes as bytes_before
  from line where may_run and not exists (select from tds_event_type_pauses where not settled)
  order by arrival limit $3),
chosen as materialized (
  select id, entity_key, arrival, place from sized where bytes_before < $5::bigint)${passOver ? HELD_BY_NOBODY : ''},
q as (
  update tds_sync_queue s set status = 'processing', lease = $1, started_at = statement_timestamp()
  where s.id = any (array(select id from ${passOver ? 'free' : 'chosen'})) and s.status || '' in ('pending', 'retry')
  returning s.id, s.organization_id, s.event_type, s.entity_id, s.entity_key, s.arrival, s.priority, s.attempt_count,
    s.release_count, s.queued_at),
leased as (
  insert into tds_queue_leases (lease, worker_id, ids) select $1, $6, array_agg(id) from q having count(*) > 0),
together as materialized (
  select entity_key, array_agg(id order by arrival) as ids from q where (select max(place) from chosen) > 1
  group by entity_key having count(*) > 1),
several as (
  update tds_queue_claims c set ids = e.ids
  from together e cross join lateral (
    select k.ctid from tds_queue_claims k where k.entity_key = e.entity_key offset 0) k
  where c.ctid = k.ctid),
spared as (
  delete from tds_queue_claims c
  where c.entity_key = any ($2::bigint[]) and c.lease = $1 and c.entity_key not in (select entity_key from q)
    and (select count(*) from chosen where place > 1) + cardinality($2) > (select count(*) from q))
select ${eventColumns(withPayload)} from q ${PAYLOAD_OF_Q}`;
