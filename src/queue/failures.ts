import { type Kysely, sql } from 'kysely';
import type { ClientBase } from 'pg';
import { ownStatement } from '../db/origin.ts';
import type { Schema } from '../db/schema.ts';
import type { ErrorCause } from '../errors.ts';
import type { Finished } from './finish.ts';

/** What a developer needs to know about a failed attempt, without people's data. */
export type Failure = {
  /** The handler that threw, if one did. */
  handler: string | null;
  message: string;
  /** Function and file of the top frame; part of the fingerprint. */
  place: string;
  stack: string | null;
  causes: ErrorCause[];
  /** What a called system answered. */
  httpStatus: number | null;
};

/** What is known of a failure that nothing was thrown for, such as a crash. */
const NOTHING_THROWN = { handler: null, place: '', stack: null, causes: [], httpStatus: null };

const FAILED = new Set(['retry', 'dead_letter', 'crashed']);

/**
 * Writes a row for each of these ends that is a failure, in the transaction that ends the attempt: the failure is there
 * exactly when the end is. A dead letter that the end has opened gets its cause. Ends that are none cost nothing.
 */
export async function recordFailures(client: ClientBase, workerId: string, finished: Finished[]): Promise<void> {
  const failed = finished.filter(({ transition }) => FAILED.has(transition.log));
  if (failed.length === 0) return;
  const values = [workerId, JSON.stringify(failed.map(rowOf))];
  await client.query({ name: 'record failures', text: RECORD, values }).catch(ownStatement);
}

function rowOf({ event, transition, failure }: Finished) {
  const { id, attempt, organizationId, eventType, entityId, entityKey } = event;
  return {
    ...{ event_id: id, attempt, organization_id: organizationId, event_type: eventType, entity_id: entityId },
    ...{ entity_key: entityKey, status: transition.log, error_tag: transition.errorTag ?? 'UnknownError' },
    ...{ ...NOTHING_THROWN, message: transition.errorMessage ?? '', ...failure },
  };
}

const RECORD = `
with failed as materialized (
  select f.*, tds_fingerprint(f.error_tag, template, f.place) as fingerprint, template
  from jsonb_to_recordset($2::jsonb) as f (event_id uuid, attempt int, organization_id text, event_type text, entity_id text,
    entity_key bigint, status text, error_tag text, message text, handler text, place text, stack text, causes jsonb,
    "httpStatus" int) cross join lateral tds_error_template(f.message) as template),
recorded as (
  insert into tds_failures (event_id, created_at, fingerprint, attempt, status, organization_id, event_type, entity_id,
    entity_key, worker_id, handler, error_tag, message, http_status, stack, causes)
  select event_id, statement_timestamp(), fingerprint, attempt, status, organization_id, event_type, entity_id,
    entity_key, $1, handler, error_tag, template, "httpStatus", stack, causes from failed),
named as (
  update tds_dead_letter_queue d set cause_key = f.fingerprint, cause_message = f.template from failed f
  where d.id = f.event_id and d.resolved_at is null)
insert into tds_failure_changes (fingerprint, error_tag, message, place, handler, failures, seen_at)
select fingerprint, error_tag, template, place, min(handler), count(*), statement_timestamp() from failed
group by fingerprint, error_tag, template, place`;

const BATCH = 10_000;

/**
 * Counts the failures that are not yet counted in their groups and hours; a group begins with its first failure. One
 * process at a time, so that nobody waits for a group's row for longer than this takes.
 */
export async function rollUpFailures(db: Kysely<Schema>): Promise<void> {
  for (let counted = BATCH; counted === BATCH; ) {
    counted = await db.transaction().execute(async (trx) => {
      await sql`select pg_advisory_xact_lock(hashtext('tds_failure_groups'))`.execute(trx);
      const { rows } = await ROLL_UP.execute(trx);
      return rows[0]?.counted ?? 0;
    });
  }
}

const ROLL_UP = sql<{ counted: number }>`
with changes as (
  delete from tds_failure_changes where ctid = any (array(select ctid from tds_failure_changes limit ${BATCH}))
  returning *),
hours as (
  insert into tds_failure_hours as h (fingerprint, hour, failures)
  select fingerprint, date_trunc('hour', seen_at, 'UTC') as hour, sum(failures) from changes group by 1, 2 order by 1, 2
  on conflict (fingerprint, hour) do update set failures = h.failures + excluded.failures),
groups as (
  insert into tds_failure_groups as g (fingerprint, error_tag, message, place, handler, failures, first_seen_at, last_seen_at)
  select fingerprint, error_tag, message, place, min(handler), sum(failures), min(seen_at), max(seen_at) from changes
  group by fingerprint, error_tag, message, place order by fingerprint
  on conflict (fingerprint) do update set failures = g.failures + excluded.failures,
    first_seen_at = least(g.first_seen_at, excluded.first_seen_at),
    last_seen_at = greatest(g.last_seen_at, excluded.last_seen_at))
select count(*)::int as counted from changes`;
