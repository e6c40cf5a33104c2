import type { ClientBase } from 'pg';

/** Makes events whose `run_at` has come claimable, at most 1,000 a call. Returns how many. */
export async function promote(client: ClientBase): Promise<number> {
  const { rowCount } = await client.query({
    name: 'promote',
    text: `
      with due as (
        delete from tds_queue_delayed where queue_id = any (array(
          select queue_id from tds_queue_delayed where run_at <= statement_timestamp()
          order by run_at limit 1000 for update skip locked))
        returning queue_id, priority, arrival, entity_key, alone)
      insert into tds_queue_ready (queue_id, priority, arrival, entity_key, alone)
      select queue_id, priority, arrival, entity_key, alone from due on conflict do nothing`,
  });
  return rowCount ?? 0;
}
