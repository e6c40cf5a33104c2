import type { Pool } from 'pg';

/**
 * Sums up the change rows of the live counts, of finished 10-second buckets and of the hours of modules, so that reading
 * them stays cheap.
 * Each is one statement, so every snapshot sees either the rows or their sum.
 */
export async function compactCounts(pool: Pool): Promise<void> {
  await pool.query({
    name: 'compact counts',
    text: `
      with changes as (
        delete from tds_queue_counts where ctid = any (array(
          select ctid from tds_queue_counts limit 10000 for update skip locked))
        returning pending, processing, retry, completed, dead_letter)
      insert into tds_queue_counts (pending, processing, retry, completed, dead_letter)
      select sum(pending), sum(processing), sum(retry), sum(completed), sum(dead_letter) from changes having count(*) > 0`,
  });
  await pool.query({
    name: 'compact totals',
    text: `
      with changes as (
        delete from tds_processing_totals where ctid = any (array(
          select ctid from tds_processing_totals
          where bucket in (select bucket from tds_processing_totals where bucket > now() - interval '1 hour'
                           group by bucket having count(*) > 1)
          limit 10000 for update skip locked))
        returning bucket, arrived, succeeded, failed, released, first_attempts, first_failures, duration_ms)
      insert into tds_processing_totals
        (bucket, arrived, succeeded, failed, released, first_attempts, first_failures, duration_ms)
      select bucket, sum(arrived), sum(succeeded), sum(failed), sum(released), sum(first_attempts), sum(first_failures),
        sum(duration_ms)
      from changes group by bucket`,
  });
  await pool.query({ name: 'compact changes', text: COMPACT_CHANGES });
  await pool.query({
    name: 'compact attempts',
    text: `
      with changes as (
        delete from tds_attempt_counts where ctid = any (array(
          select ctid from tds_attempt_counts limit 10000 for update skip locked))
        returning status, error_tag, le_ms, attempts, retries, stale, duration_ms)
      insert into tds_attempt_counts (status, error_tag, le_ms, attempts, retries, stale, duration_ms)
      select status, error_tag, le_ms, sum(attempts), sum(retries), sum(stale), sum(duration_ms)
      from changes group by status, error_tag, le_ms`,
  });
}

// -infinity: what purge has put there; the two latest hours: what is counted at the moment.
const COMPACT_CHANGES = `
  with several as (
    select organization_id, module, bucket from tds_change_totals
    where bucket > now() - interval '2 hours' or bucket = '-infinity' group by 1, 2, 3 having count(*) > 1),
  changes as (
    delete from tds_change_totals where ctid = any (array(
      select t.ctid from tds_change_totals t join several using (organization_id, module, bucket)
      limit 10000 for update of t skip locked))
    returning *)
  insert into tds_change_totals (organization_id, module, bucket, webhooks, pulled, first_webhook_version, last_webhook_at, last_change_at)
  select organization_id, module, bucket, sum(webhooks), sum(pulled), min(first_webhook_version), max(last_webhook_at),
    max(last_change_at)
  from changes group by 1, 2, 3`;
