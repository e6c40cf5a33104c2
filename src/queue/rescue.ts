import type { Pool, PoolClient } from 'pg';
import { inTransaction } from '../db/transaction.ts';
import type { RetryPolicy } from './backoff.ts';
import { AS_CLAIMED_ROW, ClaimedEvent, type ClaimedRow, eventColumns, PAYLOAD_OF_Q } from './event.ts';
import { finish, WORKER_LOCK } from './finish.ts';
import { transition } from './state.ts';
import type { Outcome } from './vocabulary.ts';

export type Rescued = { workerId: string; events: number };

/** Database sessions of a worker carry this name, so that a rescuer can end them. */
export const sessionsOf = (workerId: string) => `tds-core-worker ${workerId}`;

/**
 * Takes back what dead workers held. Their events wait again, as suspects that run alone; an event that was alone in
 * its worker's hands, or that its watchdog named, is charged for the crash. One transaction per worker.
 *
 * A worker whose lease has run out may only be frozen: its database sessions are ended first, so that it can neither
 * hold rows nor commit. Its events are taken back while its lock is ours alone, and so never while it ends some of them.
 * @param leaseSeconds claims without a worker row are given up after so long
 */
export async function rescue(pool: Pool, policy: RetryPolicy, leaseSeconds: number): Promise<Rescued[]> {
  const rescued: Rescued[] = [];
  const tried: string[] = [];
  for (;;) {
    const workerId = await findDead(pool, leaseSeconds, tried);
    if (!workerId) return rescued;
    tried.push(workerId);
    await endSessions(pool, workerId);
    const events = await inTransaction(pool, (client) => takeBack(client, workerId, policy), PATIENT_BEGIN);
    if (events !== undefined) rescued.push({ workerId, events });
  }
}

/**
 * Gives back what a living worker holds without knowing it: a claim that was committed while its answer was lost with
 * the connection, or an event that it could not end. Costs no attempt, but counts as a release: a handler that alters
 * the queue row of its own event spoils every end, and would otherwise run for ever. Also ends leases of which nothing
 * is in hand any more.
 * @param known the leases the worker knows of; claims of the last seconds may still be on their way to it
 */
export async function releaseForgotten(pool: Pool, workerId: string, known: string[], policy: RetryPolicy) {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ lease: string }>(
      `select lease from tds_queue_leases where worker_id = $1 and lease <> all ($2)
         and claimed_at < statement_timestamp() - interval '5 seconds'`,
      [workerId, known],
    );
    const events = await lockHeld(
      client,
      workerId,
      rows.map(({ lease }) => lease),
    );
    await endAll(client, workerId, events, () => FORGOTTEN, policy);
    await endEmptyLeases(client, workerId);
  });
}

/**
 * Two events of one lease that end at the same moment each see the other in hand, and neither ends the lease. Locking
 * its row would prevent that, and would have events that run side by side commit one after the other.
 */
async function endEmptyLeases(client: PoolClient, workerId: string): Promise<void> {
  await client.query(
    `delete from tds_queue_leases l where worker_id = $1
       and not exists (select from tds_sync_queue q where q.id = any (l.ids) and q.lease = l.lease)`,
    [workerId],
  );
}

const FORGOTTEN: Outcome = {
  kind: 'released',
  seconds: 0,
  tag: 'UnknownError',
  message: 'the worker held this event without an end: its claim was lost, or a handler altered its queue row',
};
const UNHARMED: Outcome = { kind: 'unharmed', seconds: 0, tag: null, message: null };

// A claim that was on its way while its worker was rescued commits for a worker that is gone: the second half.
async function findDead(pool: Pool, leaseSeconds: number, tried: string[]): Promise<string | undefined> {
  const { rows } = await pool.query<{ worker_id: string }>(
    `select worker_id from tds_workers
     where ended_at is null and expires_at < statement_timestamp() and worker_id <> all ($2)
     union all
     select worker_id from tds_queue_leases c
     where claimed_at < statement_timestamp() - $1 * interval '1 second' and worker_id <> all ($2)
       and not exists (select from tds_workers w where w.worker_id = c.worker_id and w.ended_at is null)
     limit 1`,
    [leaseSeconds, tried],
  );
  return rows[0]?.worker_id;
}

async function endSessions(pool: Pool, workerId: string): Promise<void> {
  await pool.query(`select pg_terminate_backend(pid) from pg_stat_activity where application_name = $1`, [
    sessionsOf(workerId),
  ]);
}

const PATIENT_BEGIN = "begin; set local lock_timeout = '2s'";

/** The number of events taken back, or undefined when the worker lives after all. */
async function takeBack(client: PoolClient, workerId: string, policy: RetryPolicy): Promise<number | undefined> {
  await client.query(`select pg_advisory_xact_lock(${WORKER_LOCK})`, [workerId]);
  // Locked, so that a heartbeat that comes now finds out afterwards that the leases are lost.
  const { rows } = await client.query<{ alive: boolean; culprit: string | null }>(
    `select culprit, ended_at is null and expires_at >= statement_timestamp() as alive
     from tds_workers where worker_id = $1 for update`,
    [workerId],
  );
  const { alive = false, culprit = null } = rows[0] ?? {};
  if (alive) return undefined;
  const events = await lockHeld(client, workerId, null);
  await endAll(client, workerId, events, (event) => judge(event, events, culprit), policy);
  await endEmptyLeases(client, workerId);
  await client.query(
    'update tds_workers set ended_at = coalesce(ended_at, statement_timestamp()) where worker_id = $1',
    [workerId],
  );
  return events.length;
}

/**
 * Who is to blame for a crash: nobody else when the watchdog named an event, even one that is in hand no more; the
 * only one in hand; else each of them might be.
 */
function judge(event: ClaimedEvent, inHand: ClaimedEvent[], culprit: string | null): Outcome {
  if (culprit !== null) return event.id === culprit ? { kind: 'crashed', alone: true } : UNHARMED;
  return { kind: 'crashed', alone: inHand.length === 1 };
}

async function endAll(
  client: PoolClient,
  workerId: string,
  events: ClaimedEvent[],
  judgeOf: (event: ClaimedEvent) => Outcome,
  policy: RetryPolicy,
): Promise<void> {
  const finished = events.map((event) => ({
    event,
    transition: transition(event, judgeOf(event), policy),
    durationMs: 0,
  }));
  await finish(client, workerId, finished);
}

/** What is being processed for the worker, under these leases (all of its leases when null), with the rows locked. */
async function lockHeld(client: PoolClient, workerId: string, leases: string[] | null): Promise<ClaimedEvent[]> {
  const { rows } = await client.query<[...ClaimedRow, lease: string]>({
    text: `select ${eventColumns(false)}, q.lease
           from tds_queue_leases c join tds_sync_queue q on q.id = any (c.ids) and q.lease = c.lease
           ${PAYLOAD_OF_Q}
           where c.worker_id = $1 and ($2::uuid[] is null or c.lease = any ($2))
           order by q.id for update of q`,
    values: [workerId, leases],
    ...AS_CLAIMED_ROW,
  });
  return rows.map((row) => new ClaimedEvent(row.slice(0, -1) as ClaimedRow, row.at(-1) as string));
}
