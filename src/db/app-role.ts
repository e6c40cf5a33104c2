import { sql } from 'kysely';
import type { Database } from './database.ts';

/** The role that the services connect as where the tables belong to another one. */
export const APP_ROLE = 'tds_app';

/** What it may only read, and what it may only read and add to. */
const READ_ONLY = [
  ...['tds_audit_head', 'tds_migrations', 'tds_migration_lock'],
  ...['books_views', 'books_view_columns', 'books_custom_fields', 'books_custom_fields_progress'],
];
const APPEND_ONLY = ['tds_audit_log'];

/**
 * Lets the role of the services work on all that belongs to the role of this connection, now and later (also tables
 * that handlers write to), but for what it could forge the audit log with. Nothing happens where there is no such role.
 * For the end of a migration: rights on what it created are given here, in one place.
 * @returns whether there is such a role, and another one than that of this connection
 */
export async function grantToServices(db: Database): Promise<boolean> {
  const { rows } = await sql`select from pg_roles where rolname = ${APP_ROLE} and rolname <> current_user`.execute(db);
  if (rows.length === 0) return false;
  await db.transaction().execute((trx) => sql.raw(GRANTS).execute(trx));
  return true;
}

const names = (tables: string[]) => tables.map((name) => `'${name}'`).join();

const GRANTS = `
do $$ declare one record; begin
  for one in select oid::regnamespace as name from pg_namespace where nspowner = current_user::regrole loop
    execute format('grant usage on schema %s to ${APP_ROLE}', one.name);
  end loop;
  for one in
    select c.oid::regclass as name, c.relkind, c.relname, c.relnamespace = 'public'::regnamespace as in_public from pg_class c
    where c.relowner = current_user::regrole and c.relkind in ('r', 'p', 'v', 'm', 'S')
      and c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
  loop
    if one.relkind = 'S' then
      execute format('grant usage, select on sequence %s to ${APP_ROLE}', one.name);
    elsif one.in_public and one.relname in (${names([...READ_ONLY, ...APPEND_ONLY])}) then
      execute format('revoke all on %s from ${APP_ROLE}, public', one.name);
      execute format('grant select%s on %s to ${APP_ROLE}',
        case when one.relname in (${names(APPEND_ONLY)}) then ', insert' else '' end, one.name);
    else
      execute format('grant select, insert, update, delete on %s to ${APP_ROLE}', one.name);
    end if;
  end loop;
end $$;
alter default privileges grant usage on schemas to ${APP_ROLE};
alter default privileges grant select, insert, update, delete on tables to ${APP_ROLE};
alter default privileges grant usage, select on sequences to ${APP_ROLE};
`;
