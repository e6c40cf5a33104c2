import { type Kysely, sql } from 'kysely';

/** What `tds` shows and does beyond the queue: the scopes of a token. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(SCOPES).execute(db);
}

const SCOPES = `
alter table tds_zoho_tokens add column scopes text[];
comment on column tds_zoho_tokens.scopes is 'what the token may do, as Zoho said when it gave it; null when it did not say';
`;
