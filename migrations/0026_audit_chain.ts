import { type Kysely, sql } from 'kysely';

/**
 * The audit log as a hash chain: every entry carries the SHA-256 of itself and of the hash before it, so that an entry
 * which is altered or removed, by whomever, no longer fits those around it.
 *
 * A trigger chains each entry in the transaction of the deed, under the row lock of `tds_audit_head`. An entry is the
 * last thing that a deed writes, so one deed waits for another's COMMIT and for nothing else, and since nobody who holds
 * that lock asks for another one, it is in no deadlock. Chaining afterwards, by one process, would leave entries that
 * anybody may still alter. The number is given under the same lock: numbers have no gaps and follow the chain.
 *
 * The functions run as their owner, so that the role of the services needs INSERT on the log and nothing on its head.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(COLUMNS).execute(db);
  await sql.raw(HASH).execute(db);
  await sql.raw(CHAIN_WHAT_IS_THERE).execute(db);
  await sql.raw(TRIGGER).execute(db);
  await sql.raw(VIEWS).execute(db);
}

const COLUMNS = `
alter table tds_audit_log
  add column before jsonb,
  add column after jsonb,
  add column reason text generated always as (detail ->> 'reason') stored,
  add column hash bytea;
alter table tds_audit_log alter column id drop identity;
comment on table tds_audit_log is 'what operators did and were not allowed to do: append-only, chained by hash, numbered without gaps';
comment on column tds_audit_log.before is 'state of the target before the deed; null where nothing was done or it has none';
comment on column tds_audit_log.after is 'state of the target after the deed';
comment on column tds_audit_log.reason is 'why, in the words of the operator';
comment on column tds_audit_log.hash is 'tds_audit_hash of the hash of the entry before it and of this entry';

create table tds_audit_head (
  singleton boolean primary key default true check (singleton),
  last_id bigint not null default 0,
  hash bytea not null default '',
  archived_id bigint not null default 0,
  archived_hash bytea not null default ''
);
insert into tds_audit_head default values;
comment on table tds_audit_head is 'the two ends of the chain of tds_audit_log';
comment on column tds_audit_head.singleton is 'there is one row only';
comment on column tds_audit_head.last_id is 'number of the latest entry: what is missing at the end shows';
comment on column tds_audit_head.hash is 'hash of the latest entry';
comment on column tds_audit_head.archived_id is 'number of the last entry that was purged; 0 when none was';
comment on column tds_audit_head.archived_hash is 'its hash, which the first entry that is left follows';
`;

const HASH = `
create function tds_audit_hash(previous bytea, entry tds_audit_log) returns bytea language sql stable as $$
  select sha256(previous || convert_to(jsonb_build_array(entry.id,
    to_char(entry.created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), entry.operator, entry.action,
    entry.target, entry.result, entry.request_id, entry.detail, entry.before, entry.after)::text, 'UTF8'))
$$;
comment on function tds_audit_hash is 'SHA-256 of the hash before and of what an entry says';
`;

const CHAIN_WHAT_IS_THERE = `
alter table tds_audit_log disable trigger tds_audit_log_append_only;
do $$
declare
  entry tds_audit_log;
  previous bytea := '';
begin
  for entry in select * from tds_audit_log order by id loop
    previous := tds_audit_hash(previous, entry);
    update tds_audit_log set hash = previous where id = entry.id;
    update tds_audit_head set last_id = entry.id, hash = previous;
  end loop;
end $$;
alter table tds_audit_log enable always trigger tds_audit_log_append_only;
alter table tds_audit_log alter column hash set not null;
`;

const TRIGGER = `
create function tds_chain_audit() returns trigger language plpgsql security definer
set search_path = pg_catalog, public, pg_temp as $$
declare
  head tds_audit_head;
begin
  select * into strict head from tds_audit_head for update;
  new.id := head.last_id + 1;
  new.hash := tds_audit_hash(head.hash, new);
  update tds_audit_head set last_id = new.id, hash = new.hash;
  return new;
end $$;
create trigger tds_audit_log_chained before insert on tds_audit_log for each row execute function tds_chain_audit();
alter table tds_audit_log enable always trigger tds_audit_log_chained;
`;

// They create views, which the role of the services may not, out of what stands in tables that it may not write. Temporary
// tables are looked at last, or one of its own could stand in for one of ours.
const VIEWS = `
alter function books_note_custom_fields(bigint) security definer set search_path = public, pg_temp;
alter function books_refresh_view(text) set search_path = public, pg_temp;
alter function books_refresh_views(text) security definer set search_path = public, pg_temp;
`;
