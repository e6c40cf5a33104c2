/** The queue's rows against the reference model's events. */
import { isDeepStrictEqual } from 'node:util';
import type { Pool } from 'pg';
import { disagreements } from './agreement.ts';
import { byArrival, type ReferenceQueue, waits } from './reference-model.ts';

/** Throws when a row, or anything that follows from the rows, is not as the model says. */
export async function compare(pool: Pool, model: ReferenceQueue): Promise<void> {
  const { rows } = await pool.query(`
    select q.id, q.status, q.attempt_count as attempts, q.release_count as releases, q.priority, q.suspect, w.due
    from tds_sync_queue q left join tds_queue_waiting w using (id) order by q.arrival`);
  const expected = model.events.toSorted(byArrival).map((event) => {
    const { id, status, attempts, releases, priority, suspect } = event;
    return { id, status, attempts, releases, priority, suspect, due: waits(event) ? event.due && !suspect : null };
  });
  same(rows, expected, 'the rows');
  same(await disagreements(pool), [], 'what is derived');
}

export function same(found: unknown, wanted: unknown, what: string): void {
  if (!isDeepStrictEqual(found, wanted))
    throw new Error(`${what}: found ${JSON.stringify(found)}, wanted ${JSON.stringify(wanted)}`);
}
