import { type Kysely, sql } from 'kysely';

/**
 * Keeps true what follows from `tds_sync_queue`: who waits, which entities are in hand, counts, dead letters, what the
 * inbox says. Triggers do it, so that a statement typed in psql leaves the same state as one of ours, and no code can
 * forget it. They also enforce the order of an entity's events: see `tds_queue_end_claims`.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statements of [
    HAND_WRITTEN,
    INSERTED,
    CLAIMS_END,
    UPDATED,
    DELETED,
    DEAD_LETTERS,
    LOGS,
    INBOX,
    REBUILD,
    ALWAYS,
  ]) {
    await sql.raw(statements).execute(db);
  }
}

// search_path: the functions mean our tables, whatever the session says.
// The rest: a trigger finds a few hundred rows in tables of millions. The planner knows no statistics of the changed
// rows and may choose to read such a table or its index from end to end (measured: 400 ms instead of 3), so only
// look-ups row by row are left to it. For the same reason the changed rows are never joined with each other: `not in`
// and `(… in …) is true` make the planner hash them once.
const BY_INDEX = `language plpgsql set search_path = public
  set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off`;

// Of which rows a statement may read no more than these. A join says the same, but when the statistics are those of a
// moment in which nothing waited, the planner goes through the whole table and through all changed rows for each of its
// rows (measured: 45 s for a claim of 1,000 of 40,000). An array of keys leaves it nothing but to look them up.
const WAITING_OF_OLD_ROWS = `w.entity_key = any (array(select entity_key from old_rows where status in ('pending', 'retry')))
    and w.arrival >= (select min(arrival) from old_rows where status in ('pending', 'retry'))
    and w.arrival <= (select max(arrival) from old_rows where status in ('pending', 'retry'))
    and ((w.entity_key, w.arrival) in (
      select entity_key, arrival from old_rows where status in ('pending', 'retry'))) is true`;

const STATUSES = ['pending', 'processing', 'retry', 'completed', 'dead_letter'];
const COUNTS = STATUSES.map((status) => `count(*) filter (where status = '${status}') as ${status}`).join(', ');
const COUNT_COLUMNS = `${COUNTS}, count(*) filter (where not versioned) as unversioned`;

const WAITING_COLUMNS = 'entity_key, arrival, id, priority, release_count, run_at, payload_bytes, status, due, suspect';
const WAITING_VALUES = `entity_key, arrival, id, priority, release_count, run_at, payload_bytes, status,
    run_at <= clock_timestamp() and not suspect, suspect`;

const TOTALS_OF_LOGS = `date_bin('10 seconds', created_at, 'epoch'), count(*) filter (where status = 'completed'),
    count(*) filter (where status in ('retry', 'dead_letter', 'crashed')), count(*) filter (where status = 'released'),
    count(*) filter (where attempt = 1 and status <> 'released'),
    count(*) filter (where attempt = 1 and status in ('retry', 'dead_letter', 'crashed')),
    coalesce(sum(duration_ms) filter (where status <> 'released'), 0)`;

// Fills in what an operator's UPDATE leaves out and ours never does. The conditions are checked without a call.
const HAND_WRITTEN = `
create function tds_complete_hand_written_update() returns trigger language plpgsql as $$
begin
  if new.status <> 'processing' then new.lease := null; end if;
  if new.status <> 'completed' then new.completed_at := null;
  elsif new.completed_at is null then new.completed_at := clock_timestamp(); end if;
  if new.status = 'dead_letter' and new.error_message is null then
    new.error_tag := 'UnknownError';
    new.error_message := 'moved to the dead letters by hand';
  end if;
  return new;
end $$;
create trigger tds_sync_queue_hand_written before update on tds_sync_queue for each row
  when (new.status <> 'processing' and new.lease is not null
    or (new.status = 'completed') <> (new.completed_at is not null)
    or new.status = 'dead_letter' and new.error_message is null)
  execute function tds_complete_hand_written_update();

create function tds_refuse_change_of_claim() returns trigger language plpgsql as $$
begin
  raise exception 'event % is being processed: set its status to pending before you change id, entity_key, arrival or lease', old.id;
end $$;
create trigger tds_sync_queue_claimed before update on tds_sync_queue for each row
  when (old.lease is not null and new.status = 'processing' and (old.id <> new.id or old.entity_key <> new.entity_key
    or old.arrival <> new.arrival or old.lease is distinct from new.lease))
  execute function tds_refuse_change_of_claim();
`;

// Statement triggers see a set of 500 once. A row trigger would be called 500 times.
const INSERTED = `
create function tds_queue_inserted() returns trigger ${BY_INDEX} as $$
begin
  insert into tds_queue_counts select ${COUNTS} from new_rows having count(*) > 0;
  insert into tds_processing_totals (bucket, arrived)
    select date_bin('10 seconds', queued_at, 'epoch'), count(*) from new_rows group by 1;
  insert into tds_queue_waiting (${WAITING_COLUMNS})
    select ${WAITING_VALUES} from new_rows where status in ('pending', 'retry');
  if exists (select from new_rows where status = 'dead_letter') then
    perform tds_open_dead_letters(array(select id from new_rows where status = 'dead_letter'));
  end if;
  return null;
end $$;
create trigger tds_sync_queue_inserted after insert on tds_sync_queue
  referencing new table as new_rows for each statement execute function tds_queue_inserted();
`;

// The claim of an entity ends when none of its events is being processed any more; a lease ends with its last event.
// Order: an event that does not end for good takes the later events of its entity back with it, so that none of them
// can be completed before it; and an event cannot be completed before an earlier one that was claimed with it.
const CLAIMS_END = `
create function tds_queue_end_claims(ended uuid[], ended_leases uuid[], keys bigint[], gone_back uuid[]) returns void
${BY_INDEX} as $$
declare
  were_alone bigint;
begin
  delete from tds_queue_claims c where c.entity_key = any (keys) and c.lease = any (ended_leases) and c.ids is null;
  get diagnostics were_alone = row_count;

  -- Less than there are events: some were claimed together with others of their entity.
  if were_alone < cardinality(keys) then
    update tds_sync_queue later set status = 'pending', lease = null, started_at = null
    from tds_queue_claims c join tds_sync_queue back on back.id = any (c.ids)
    where c.entity_key = any (keys) and c.lease = any (ended_leases) and back.id = any (gone_back)
      and later.id = any (c.ids) and later.lease = c.lease and later.arrival > back.arrival;
    if exists (
      select from tds_queue_claims c join tds_sync_queue done on done.id = any (c.ids)
        join tds_sync_queue earlier on earlier.id = any (c.ids)
      where c.entity_key = any (keys) and c.lease = any (ended_leases)
        and done.id = any (ended) and done.status = 'completed' and earlier.arrival < done.arrival
        and (earlier.lease = c.lease or earlier.id = any (gone_back))) then
      raise exception 'an earlier event of this entity has not ended' using errcode = 'TDS01';
    end if;
    delete from tds_queue_claims c
    where c.entity_key = any (keys) and c.lease = any (ended_leases) and not exists (
      select from tds_sync_queue q where q.id = any (c.ids) and q.lease = c.lease);
  end if;

  -- All that were claimed under the only lease have ended at once, as a set does: no need to look at each.
  delete from tds_queue_leases l where l.lease = any (ended_leases)
    and (cardinality(ended_leases) = 1 and cardinality(l.ids) = cardinality(ended)
      or not exists (select from tds_sync_queue q where q.id = any (l.ids) and q.lease = l.lease));
end $$;
`;

const UPDATED = `
create function tds_queue_updated() returns trigger ${BY_INDEX} as $$
declare
  were record;
  are record;
begin
  select ${COUNT_COLUMNS} into were from old_rows;
  select ${COUNT_COLUMNS} into are from new_rows;
  insert into tds_queue_counts values (are.pending - were.pending, are.processing - were.processing, are.retry - were.retry,
    are.completed - were.completed, are.dead_letter - were.dead_letter);

  if were.pending + were.retry > 0 then
    delete from tds_queue_waiting w where ${WAITING_OF_OLD_ROWS};
  end if;
  if are.pending + are.retry > 0 then
    insert into tds_queue_waiting (${WAITING_COLUMNS})
      select ${WAITING_VALUES} from new_rows where status in ('pending', 'retry');
  end if;
  -- The bytes of an event without a version of its own are a repeat only while it waits.
  if are.unversioned > 0 and are.processing + are.completed + are.dead_letter > 0 then
    update tds_inbox_events i set dedupe_key = null
    where i.event_id = any (array(select id from new_rows where not versioned and status not in ('pending', 'retry')))
      and i.dedupe_key is not null;
  end if;

  if were.processing > 0 then
    perform tds_queue_end_claims(array_agg(id), array_agg(distinct lease), array_agg(entity_key),
      case when are.pending + are.retry > 0 then array(select id from new_rows where status in ('pending', 'retry')) else '{}' end)
    from old_rows where status = 'processing'
      and (are.processing = 0 or id not in (select id from new_rows where status = 'processing'))
    having count(*) > 0;
  end if;

  if are.completed > 0 then
    update tds_inbox_events i set processed = true, processed_at = statement_timestamp()
    where i.event_id = any (array(select id from new_rows where status = 'completed')) and not i.processed;
  end if;
  if were.completed > 0 then
    update tds_inbox_events i set processed = false, processed_at = null
    where i.event_id = any (array(select id from new_rows
        where status <> 'completed' and (id in (select id from old_rows where status = 'completed')) is true))
      and i.processed;
  end if;

  if are.dead_letter > 0 then
    perform tds_open_dead_letters(array(select id from new_rows
      where status = 'dead_letter' and id not in (select id from old_rows where status = 'dead_letter')));
  end if;
  if were.dead_letter > 0 then
    update tds_dead_letter_queue d set resolved_at = now(), retry_count = d.retry_count + 1, last_retry_at = now()
    where d.id = any (array(select id from new_rows
        where status <> 'dead_letter' and (id in (select id from old_rows where status = 'dead_letter')) is true))
      and d.resolved_at is null;
  end if;
  return null;
end $$;
create trigger tds_sync_queue_updated after update on tds_sync_queue
  referencing old table as old_rows new table as new_rows for each statement execute function tds_queue_updated();
`;

const DELETED = `
create function tds_queue_deleted() returns trigger ${BY_INDEX} as $$
begin
  insert into tds_queue_counts
    select -c.pending, -c.processing, -c.retry, -c.completed, -c.dead_letter
    from (select ${COUNTS} from old_rows having count(*) > 0) as c (pending, processing, retry, completed, dead_letter);
  delete from tds_queue_waiting w where ${WAITING_OF_OLD_ROWS};
  if exists (select from old_rows where status = 'processing') then
    perform tds_queue_end_claims(array_agg(id), array_agg(distinct lease), array_agg(entity_key), '{}')
    from old_rows where status = 'processing';
  end if;
  update tds_dead_letter_queue d set resolved_at = now()
    where d.id = any (array(select id from old_rows where status = 'dead_letter')) and d.resolved_at is null;
  return null;
end $$;
create trigger tds_sync_queue_deleted after delete on tds_sync_queue
  referencing old table as old_rows for each statement execute function tds_queue_deleted();

create function tds_queue_truncated() returns trigger language plpgsql set search_path = public as $$
begin
  delete from tds_queue_counts;
  delete from tds_queue_waiting;
  delete from tds_queue_claims;
  delete from tds_queue_leases;
  update tds_dead_letter_queue set resolved_at = now() where resolved_at is null;
  return null;
end $$;
create trigger tds_sync_queue_truncated after truncate on tds_sync_queue
  for each statement execute function tds_queue_truncated();
`;

// A dead letter that an operator deletes, or resolves by hand, takes the event out of `dead_letter` as well.
const DEAD_LETTERS = `
create function tds_open_dead_letters(dead uuid[]) returns void ${BY_INDEX} as $$
begin
  insert into tds_dead_letter_queue (id, organization_id, event_type, entity_id, kind, payload, raw_body, attempt_count,
    error_tag, last_error)
  select q.id, q.organization_id, q.event_type, q.entity_id,
    case when i.quarantine_reason is null then 'failed' else 'quarantined' end,
    p.payload, p.raw_body, q.attempt_count, coalesce(q.error_tag, 'UnknownError'),
    coalesce(q.error_message, 'moved to the dead letters by hand')
  from tds_sync_queue q
    left join lateral (select quarantine_reason from tds_inbox_events where event_id = q.id offset 0) i on true
    left join lateral (select payload, raw_body from tds_inbox_payloads where event_id = q.id offset 0) p on true
  where q.id = any (dead)
  on conflict (id) do update set event_type = excluded.event_type, entity_id = excluded.entity_id, kind = excluded.kind,
    organization_id = excluded.organization_id, payload = coalesce(excluded.payload, tds_dead_letter_queue.payload),
    raw_body = coalesce(excluded.raw_body, tds_dead_letter_queue.raw_body), attempt_count = excluded.attempt_count,
    error_tag = excluded.error_tag, last_error = excluded.last_error, moved_to_dlq_at = now(), resolved_at = null;
end $$;

create function tds_dead_letters_left() returns trigger ${BY_INDEX} as $$
begin
  delete from tds_sync_queue q where q.id = any (array(select id from old_rows)) and q.status = 'dead_letter';
  return null;
end $$;
create function tds_dead_letters_truncated() returns trigger ${BY_INDEX} as $$
begin
  delete from tds_sync_queue where status = 'dead_letter';
  return null;
end $$;
create trigger tds_dead_letter_queue_truncated after truncate on tds_dead_letter_queue
  for each statement execute function tds_dead_letters_truncated();
create trigger tds_dead_letter_queue_deleted after delete on tds_dead_letter_queue
  referencing old table as old_rows for each statement execute function tds_dead_letters_left();

create function tds_dead_letter_changed() returns trigger ${BY_INDEX} as $$
begin
  if new.resolved_at is not null then
    delete from tds_sync_queue q where q.id = new.id and q.status = 'dead_letter';
  elsif not exists (select from tds_sync_queue q where q.id = new.id and q.status = 'dead_letter') then
    raise exception 'a dead letter opens when its event dies: set the status of tds_sync_queue to dead_letter instead';
  end if;
  return null;
end $$;
create trigger tds_dead_letter_queue_changed after update on tds_dead_letter_queue for each row
  when ((old.resolved_at is null) <> (new.resolved_at is null)) execute function tds_dead_letter_changed();
`;

const LOGS = `
create function tds_logs_inserted() returns trigger language plpgsql set search_path = public as $$
begin
  insert into tds_processing_totals (bucket, succeeded, failed, released, first_attempts, first_failures, duration_ms)
    select ${TOTALS_OF_LOGS} from new_rows group by 1;
  return null;
end $$;
create trigger tds_sync_logs_inserted after insert on tds_sync_logs
  referencing new table as new_rows for each statement execute function tds_logs_inserted();
`;

// A trigger instead of a foreign key: the key would be checked for every event that arrives.
const INBOX = `
create function tds_inbox_deleted() returns trigger ${BY_INDEX} as $$
begin
  delete from tds_inbox_payloads p where p.event_id = any (array(select event_id from old_rows));
  return null;
end $$;
create trigger tds_inbox_events_deleted after delete on tds_inbox_events
  referencing old table as old_rows for each statement execute function tds_inbox_deleted();
`;

// Nobody can write the queue meanwhile, so that what is counted is what stands there at the end.
const REBUILD = `
create function tds_rebuild() returns table (what text, was bigint, is_now bigint) language plpgsql
set search_path = public as $$
begin
  lock table tds_sync_queue in share row exclusive mode;
  create temporary table tds_rebuilt on commit drop as
    select 'count ' || s.status as what, s.place, 0::bigint as was, count(q.id) as is_now
    from (values ('pending', 1), ('processing', 2), ('retry', 3), ('completed', 4), ('dead_letter', 5)) as s (status, place)
    left join tds_sync_queue q on q.status = s.status group by s.status, s.place;
  update tds_rebuilt r set was = c.n from (
    select unnest(array[coalesce(sum(pending), 0), coalesce(sum(processing), 0), coalesce(sum(retry), 0),
      coalesce(sum(completed), 0), coalesce(sum(dead_letter), 0)]) as n, generate_series(1, 5) as place
    from tds_queue_counts) c where c.place = r.place;
  delete from tds_queue_counts;
  insert into tds_queue_counts select ${COUNTS} from tds_sync_queue;

  insert into tds_rebuilt select 'waiting events', 6, count(w.id), count(q.id)
    from (select * from tds_queue_waiting) w full join
         (select * from tds_sync_queue where status in ('pending', 'retry')) q
      on w.id = q.id and w.entity_key = q.entity_key and w.arrival = q.arrival and w.priority = q.priority
        and w.run_at = q.run_at and w.status = q.status and w.suspect = q.suspect and w.release_count = q.release_count
    where w.id is null or q.id is null;
  delete from tds_queue_waiting;
  insert into tds_queue_waiting (${WAITING_COLUMNS})
    select ${WAITING_VALUES} from tds_sync_queue where status in ('pending', 'retry');

  insert into tds_rebuilt select 'claims without an event in hand', 7, count(*), 0 from tds_queue_claims c
    where not exists (select from tds_sync_queue q where q.entity_key = c.entity_key and q.lease = c.lease);
  delete from tds_queue_claims c
    where not exists (select from tds_sync_queue q where q.entity_key = c.entity_key and q.lease = c.lease);
  delete from tds_queue_leases l where not exists (select from tds_queue_claims c where c.lease = l.lease);

  insert into tds_rebuilt select 'open dead letters', 8,
    (select count(*) from tds_dead_letter_queue where resolved_at is null), count(*) from tds_sync_queue where status = 'dead_letter';
  update tds_dead_letter_queue d set resolved_at = now() where resolved_at is null
    and not exists (select from tds_sync_queue q where q.id = d.id and q.status = 'dead_letter');
  perform tds_open_dead_letters(array(select id from tds_sync_queue q where status = 'dead_letter'
    and not exists (select from tds_dead_letter_queue d where d.id = q.id and d.resolved_at is null)));

  insert into tds_rebuilt select 'attempts of the last hour', 9,
    (select coalesce(sum(succeeded + failed), 0)::bigint from tds_processing_totals where bucket > now() - interval '1 hour'),
    (select count(*) from tds_sync_logs where status <> 'released'
      and created_at >= date_bin('10 seconds', now() - interval '1 hour', 'epoch') + interval '10 seconds');
  delete from tds_processing_totals where bucket > now() - interval '1 hour';
  insert into tds_processing_totals (bucket, succeeded, failed, released, first_attempts, first_failures, duration_ms)
    select ${TOTALS_OF_LOGS} from tds_sync_logs
    where created_at >= date_bin('10 seconds', now() - interval '1 hour', 'epoch') + interval '10 seconds' group by 1;
  insert into tds_processing_totals (bucket, arrived) select date_bin('10 seconds', queued_at, 'epoch'), count(*)
    from tds_sync_queue
    where queued_at >= date_bin('10 seconds', now() - interval '1 hour', 'epoch') + interval '10 seconds' group by 1;

  return query select r.what, r.was, r.is_now from tds_rebuilt r where r.was <> r.is_now order by r.place;
end $$;
comment on function tds_rebuild is 'derives everything from tds_sync_queue and tds_sync_logs anew and says what differed';
`;

// Also for a session whose role or database sets session_replication_role to replica: nothing here is replication.
const ALWAYS = ['tds_sync_queue', 'tds_dead_letter_queue', 'tds_sync_logs', 'tds_inbox_events', 'tds_audit_log']
  .map(
    (table) => `
do $$ declare name text; begin
  for name in select tgname from pg_trigger where tgrelid = '${table}'::regclass and not tgisinternal loop
    execute format('alter table ${table} enable always trigger %I', name);
  end loop;
end $$;`,
  )
  .join('');
