import { type Kysely, sql } from 'kysely';

/** The trace of an event goes from the API to the worker. Without tracing the column is null and takes no room. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql`alter table tds_inbox_payloads add column traceparent text`.execute(db);
  await sql`comment on column tds_inbox_payloads.traceparent is
    'the span that stored the event (W3C Trace Context), to which its attempts belong; null without tracing'`.execute(
    db,
  );
}
