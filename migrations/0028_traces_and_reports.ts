import { type Kysely, sql } from 'kysely';

/** What other systems are told: the trace of an event, from the API to the worker, and causes of failures. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await sql.raw(TRACES).execute(db);
  await sql.raw(REPORTS).execute(db);
}

// Without tracing the column is null and takes no room.
const TRACES = `
alter table tds_inbox_payloads add column traceparent text;
comment on column tds_inbox_payloads.traceparent is
  'the span that stored the event (W3C Trace Context), to which its attempts belong; null without tracing';
`;

// A group that is resolved and returns is reported again: the report is older than the resolution.
const REPORTS = `
alter table tds_failure_groups add column reported_at timestamptz;
comment on column tds_failure_groups.reported_at is 'when Sentry was told of it; null: never';
`;
