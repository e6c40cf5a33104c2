import { type Kysely, sql } from 'kysely';

/** Records within others (contact persons) are judged by a reconciliation like every other module. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(ROWS).execute(db);
}

const ROWS = `
alter table tds_pull_rows add column without_id integer not null default 0 check (without_id >= 0);
comment on column tds_pull_rows.without_id is
  'entries within this record that should be records of their own (contact persons of a contact) and have no id';
comment on column tds_pull_rows.row_hash is
  'SHA-256 of the list row whose record was fetched, or of the record within another; null once it stands there no more';
`;
