import type { Pool, PoolClient } from 'pg';
import { inTransaction } from '../db/transaction.ts';
import { AS_CLAIMED_ROW, ClaimedEvent, type ClaimedRow } from './event.ts';
import { finish } from './finish.ts';
import { markProcessing } from './mark.ts';
import type { RetryPolicy } from './retry.ts';
import { type Outcome, transition } from './state.ts';

export type Rescued = { workerId: string; events: number };

/**
 * Takes back what dead workers held. Their events wait again, as suspects that run alone; an event that was alone in
 * its worker's hands is charged for the crash. One transaction per worker, so that a herd of them cannot hold up
 * intake for long.
 *
 * The rows are locked before they are judged: an event that its worker finishes meanwhile is either finished before
 * (and not ours to touch) or fenced after. Reading first and updating by id later overwrote finished jobs elsewhere
 * (River issue 1302).
 * @param leaseSeconds claims without a worker row are given up after so long
 */
export async function rescue(pool: Pool, policy: RetryPolicy, leaseSeconds: number): Promise<Rescued[]> {
  const rescued: Rescued[] = [];
  for (;;) {
    const one = await inTransaction(pool, (client) => rescueOne(client, policy, leaseSeconds));
    if (!one) return rescued;
    rescued.push(one);
  }
}

/**
 * Gives back what a living worker holds without knowing it: a claim that was committed while its answer was lost with
 * the connection. Costs no attempt.
 * @param known the leases the worker knows of; claims of the last seconds may still be on their way to it
 */
export async function releaseForgotten(
  pool: Pool,
  workerId: string,
  known: string[],
  policy: RetryPolicy,
): Promise<void> {
  await inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ lease: string }>(
      `select lease from tds_queue_claims where worker_id = $1 and lease <> all ($2)
         and claimed_at < statement_timestamp() - interval '5 seconds' for update skip locked`,
      [workerId, known],
    );
    if (rows.length === 0) return;
    const leases = rows.map((row) => row.lease);
    await giveBack(client, workerId, leases, () => ({ kind: 'released' }), policy);
  });
}

async function rescueOne(client: PoolClient, policy: RetryPolicy, leaseSeconds: number): Promise<Rescued | undefined> {
  const workerId = (await lockExpiredWorker(client)) ?? (await orphanedClaims(client, leaseSeconds));
  if (!workerId) return undefined;
  const judge = (inHand: number): Outcome => ({ kind: 'crashed', alone: inHand === 1 });
  const events = await giveBack(client, workerId, null, judge, policy);
  await client.query('delete from tds_workers where worker_id = $1', [workerId]);
  return { workerId, events };
}

/** Ends what stands under these leases (all of the worker's when null), and the claims with it. Returns how many. */
async function giveBack(
  client: PoolClient,
  workerId: string,
  leases: string[] | null,
  judge: (inHand: number) => Outcome,
  policy: RetryPolicy,
): Promise<number> {
  await markProcessing(client, leases ?? (await leasesOf(client, workerId)));
  const events = await lockHeldEvents(client, workerId, leases);
  const outcome = judge(events.length);
  const finished = events.map((event) => ({
    event,
    transition: transition(event.attemptCount, outcome, policy),
    durationMs: 0,
  }));
  await finish(client, workerId, finished);
  await client.query('delete from tds_queue_claims where worker_id = $1 and ($2::uuid[] is null or lease = any ($2))', [
    workerId,
    leases,
  ]);
  return events.length;
}

async function lockExpiredWorker(client: PoolClient): Promise<string | undefined> {
  const { rows } = await client.query<{ worker_id: string }>(
    `select worker_id from tds_workers where expires_at < statement_timestamp()
     order by expires_at limit 1 for update skip locked`,
  );
  return rows[0]?.worker_id;
}

// A claim that was on its way while its worker was rescued commits without a worker row.
async function orphanedClaims(client: PoolClient, leaseSeconds: number): Promise<string | undefined> {
  const { rows } = await client.query<{ worker_id: string }>(
    `select worker_id from tds_queue_claims c
     where claimed_at < statement_timestamp() - $1 * interval '1 second'
       and not exists (select from tds_workers w where w.worker_id = c.worker_id) limit 1`,
    [leaseSeconds],
  );
  return rows[0]?.worker_id;
}

async function leasesOf(client: PoolClient, workerId: string): Promise<string[]> {
  const { rows } = await client.query('select lease from tds_queue_claims where worker_id = $1', [workerId]);
  return rows.map((row) => row.lease);
}

async function lockHeldEvents(client: PoolClient, workerId: string, leases: string[] | null): Promise<ClaimedEvent[]> {
  const { rows } = await client.query<ClaimedRow>({
    text: `select q.id, q.event_id, q.organization_id, q.event_type, q.entity_id, q.arrival, q.priority, q.attempt_count,
             q.dead_letter_id, null, null, 0, null, c.claim_xid, q.lease, null, q.entity_key
           from tds_queue_claims c join tds_sync_queue q on q.id = any (c.queue_ids) and q.lease = c.lease
           where c.worker_id = $1 and ($2::uuid[] is null or c.lease = any ($2)) and q.status = 'processing'
           order by q.id for update of q`,
    values: [workerId, leases],
    ...AS_CLAIMED_ROW,
  });
  return rows.map((row) => new ClaimedEvent(row));
}
