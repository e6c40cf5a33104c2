import { type Kysely, sql } from 'kysely';

/**
 * Keeps true what is derived from the queue: who is ready, who is delayed, counts by status, totals per 10 seconds.
 * Triggers do it, so that an operator's UPDATE in psql is as good as ours.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TRIGGERS).execute(db);
}

// Statement triggers see a batch of 500 once. A row trigger would be called 500 times.
const TRIGGERS = `
create function tds_queue_inserted() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select count(*) filter (where status = 'pending'), count(*) filter (where status = 'processing'),
           count(*) filter (where status = 'retry'), count(*) filter (where status = 'completed'),
           count(*) filter (where status = 'dead_letter')
    from new_rows having count(*) > 0;
  insert into tds_queue_ready (priority, arrival, queue_id, entity_key, alone)
    select priority, arrival, id, entity_key, suspect from new_rows
    where status in ('pending', 'retry') and run_at <= now() order by arrival;
  insert into tds_queue_delayed (queue_id, run_at, priority, arrival, entity_key, alone)
    select id, run_at, priority, arrival, entity_key, suspect from new_rows
    where status in ('pending', 'retry') and run_at > now();
  return null;
end $$;

create function tds_queue_updated() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select coalesce(sum(n) filter (where status = 'pending'), 0), coalesce(sum(n) filter (where status = 'processing'), 0),
           coalesce(sum(n) filter (where status = 'retry'), 0), coalesce(sum(n) filter (where status = 'completed'), 0),
           coalesce(sum(n) filter (where status = 'dead_letter'), 0)
    from (select status, 1 as n from new_rows union all select status, -1 from old_rows) as change
    having count(*) > 0;
  if exists (select from new_rows where status in ('pending', 'retry')) then
    with waiting as (
      select n.* from new_rows n join old_rows o using (id)
      where n.status in ('pending', 'retry') and (n.status <> o.status or n.run_at <> o.run_at)),
    left_delay as (
      delete from tds_queue_delayed d using waiting w where d.queue_id = w.id),
    let_go as ( -- an operator's reset of a stuck event frees its entity too
      delete from tds_queue_claims c using waiting w where c.lease = w.lease and cardinality(c.queue_ids) = 1),
    ready as (
      insert into tds_queue_ready (priority, arrival, queue_id, entity_key, alone)
      select priority, arrival, id, entity_key, suspect from waiting where run_at <= clock_timestamp()
      on conflict do nothing)
    insert into tds_queue_delayed (queue_id, run_at, priority, arrival, entity_key, alone)
      select id, run_at, priority, arrival, entity_key, suspect from waiting where run_at > clock_timestamp();
  end if;
  return null;
end $$;

create function tds_queue_deleted() returns trigger language plpgsql as $$
begin
  insert into tds_queue_counts
    select -count(*) filter (where status = 'pending'), -count(*) filter (where status = 'processing'),
           -count(*) filter (where status = 'retry'), -count(*) filter (where status = 'completed'),
           -count(*) filter (where status = 'dead_letter')
    from old_rows having count(*) > 0;
  delete from tds_queue_delayed where queue_id in (select id from old_rows where status in ('pending', 'retry'));
  delete from tds_queue_ready r using old_rows o
    where o.status in ('pending', 'retry') and r.priority = o.priority and r.arrival = o.arrival;
  return null;
end $$;

create trigger tds_sync_queue_inserted after insert on tds_sync_queue
  referencing new table as new_rows for each statement execute function tds_queue_inserted();
create trigger tds_sync_queue_updated after update on tds_sync_queue
  referencing old table as old_rows new table as new_rows for each statement execute function tds_queue_updated();
create trigger tds_sync_queue_deleted after delete on tds_sync_queue
  referencing old table as old_rows for each statement execute function tds_queue_deleted();

create function tds_queue_truncated() returns trigger language plpgsql as $$
begin
  delete from tds_queue_counts;
  delete from tds_queue_ready;
  delete from tds_queue_delayed;
  delete from tds_queue_claims;
  return null;
end $$;
create trigger tds_sync_queue_truncated after truncate on tds_sync_queue
  for each statement execute function tds_queue_truncated();

create function tds_logs_inserted() returns trigger language plpgsql as $$
begin
  insert into tds_processing_totals (bucket, succeeded, failed, duration_ms)
    select date_bin('10 seconds', created_at, 'epoch'), count(*) filter (where status = 'completed'),
           count(*) filter (where status <> 'completed'), coalesce(sum(duration_ms), 0)
    from new_rows where status in ('completed', 'retry', 'dead_letter') group by 1;
  return null;
end $$;
create trigger tds_sync_logs_inserted after insert on tds_sync_logs
  referencing new table as new_rows for each statement execute function tds_logs_inserted();

-- A trigger instead of a foreign key: the key would be checked for every event that arrives.
create function tds_inbox_deleted() returns trigger language plpgsql as $$
begin
  delete from tds_inbox_payloads p using old_rows o where p.event_id = o.event_id;
  return null;
end $$;
create trigger tds_inbox_events_deleted after delete on tds_inbox_events
  referencing old table as old_rows for each statement execute function tds_inbox_deleted();
`;
