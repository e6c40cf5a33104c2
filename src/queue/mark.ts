import type { ClientBase } from 'pg';

/**
 * Shows what is held under these leases as `processing`, which claim-set.ts leaves out. Call it no more once one of
 * the events has been ended under a claim that is kept: it would be marked again.
 *
 * The claim is locked first: whoever ends the events gives it up, so they are marked before that or not at all.
 */
export async function markProcessing(client: ClientBase, leases: string[]): Promise<void> {
  await client.query({
    name: 'mark processing',
    text: `
      with held as materialized (
        select lease, claimed_at, queue_ids from tds_queue_claims where lease = any ($1::uuid[]) for update)
      update tds_sync_queue q set status = 'processing', lease = held.lease, started_at = held.claimed_at
      from held where q.id = any (held.queue_ids) and q.status in ('pending', 'retry')`,
    values: [leases],
  });
}
