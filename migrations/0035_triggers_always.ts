import { type Kysely, sql } from 'kysely';

/** Every trigger also fires for a session whose role or database sets session_replication_role to replica, as in 0005. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(ALWAYS).execute(db);
}

const ALWAYS = `
do $$ declare missed record; begin
  for missed in
    select t.tgname as trigger, t.tgrelid::regclass as "table" from pg_trigger t join pg_class c on c.oid = t.tgrelid
    where not t.tgisinternal and t.tgenabled = 'O' and c.relnamespace = 'public'::regnamespace and c.relname ~ '^(tds|books)_'
  loop
    execute format('alter table %s enable always trigger %I', missed.table, missed.trigger);
  end loop;
end $$`;
