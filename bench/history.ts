/** Rows in bulk, made by PostgreSQL itself: what the tables look like after millions of events. */
import type pg from 'pg';
import { invoice } from './invoice.ts';

/**
 * Puts `count` completed events into inbox, queue and logs, an event every 100 ms up to `age` ago, as the worker
 * leaves them; every fifth failed at its first attempt. Their payload is `{}`: claims and counts never read it.
 */
export async function addCompleted(pool: pg.Pool, count: number, age = LATEST): Promise<void> {
  for (const insert of [INBOX, PAYLOADS, QUEUE, LOGS, FAILURES]) await pool.query(insert, [count, age]);
  await pool.query(COMPACTED);
  await pool.query("select setval('tds_arrival', greatest($1::bigint, (select last_value from tds_arrival)))", [count]);
}

/** A UUID in the order of n, as v7 ids are in the order of time. */
const ID = `('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;
const TIME = `now() - $2::interval - ($1::int - n) * interval '100 ms'`;
const LATEST = '1 hour';
const N = 'generate_series(1, $1::int) as n';
/** Three organizations and thirty types of event: roll-ups have a row for each that occurs in an hour. */
const ORGANIZATION = `(600012345 + n % 3)::text`;
const MODULES = [
  'invoice',
  'contact',
  'bill',
  'item',
  'customerpayment',
  'expense',
  'estimate',
  'salesorder',
  'creditnote',
  'journal',
];
const MODULE = `(array['${MODULES.join("', '")}'])[1 + n % 10]`;
const ACTION = `(array['created', 'updated', 'deleted'])[1 + n / 10 % 3]`;
const EVENT_TYPE = `${MODULE} || '.' || ${ACTION}`;

const INBOX = `
insert into tds_inbox_events (event_id, dedupe_key, received_at, processed_at, processed, organization_id, module,
  action, entity_id, event_type)
select ${ID}, ${ID}, ${TIME}, ${TIME}, true, ${ORGANIZATION}, ${MODULE}, ${ACTION}, (982000000000000000 + n)::text,
  ${EVENT_TYPE} from ${N}`;

const PAYLOADS = `
insert into tds_inbox_payloads (event_id, source, version, payload)
select ${ID}, 'webhook', ${TIME}, '{}' from ${N}`;

const QUEUE = `
insert into tds_sync_queue (id, arrival, entity_key, queued_at, run_at, payload_bytes, organization_id, event_type,
  entity_id, attempt_count, status, started_at, completed_at)
select ${ID}, n, hashint8extended(n, 0), ${TIME}, ${TIME}, 1500, ${ORGANIZATION}, ${EVENT_TYPE},
  (982000000000000000 + n)::text, 1, 'completed', ${TIME}, ${TIME} from ${N}`;

const LOGS = `
insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status)
select ${ID}, ${ID}, ${TIME}, 1, 1, 'completed' from ${N}`;

// A row for each 10 seconds, as the worker leaves them.
const COMPACTED = `
with changes as (delete from tds_processing_totals returning *)
insert into tds_processing_totals (bucket, arrived, succeeded, failed, released, first_attempts, first_failures, duration_ms)
select bucket, sum(arrived), sum(succeeded), sum(failed), sum(released), sum(first_attempts), sum(first_failures),
  sum(duration_ms)
from changes group by bucket order by bucket`;

const FAILURES = `
insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status, error_tag, error_message)
select ${ID}, ${ID}, ${TIME}, 1, 1, 'retry', 'NetworkError', 'connection refused' from ${N} where n % 5 = 0`;

/** Puts `count` failed attempts at the latest of `completed` events into the table of failures: 200 causes, a few of them frequent. */
export async function addFailures(pool: pg.Pool, completed: number, count: number): Promise<void> {
  await pool.query(FAILED_ATTEMPTS, [completed, LATEST, Math.min(count, completed)]);
  await pool.query(FAILURE_CHANGES);
}

const CAUSE = `floor(200 * power(n % 1000 / 1000.0, 4))::int`;

const FAILED_ATTEMPTS = `
insert into tds_failures (event_id, created_at, fingerprint, attempt, status, organization_id, event_type, entity_id,
  entity_key, worker_id, handler, error_tag, message, stack)
select ${ID}, ${TIME}, left(md5(${CAUSE}::text), 16), 1, 'retry', ${ORGANIZATION}, ${EVENT_TYPE},
  (982000000000000000 + n)::text, hashint8extended(n, 0), ${ID}, 'forward', 'NetworkError',
  'connection refused by server ' || ${CAUSE}, 'at send (handlers/forward.ts:12:5)'
from generate_series($1::int - $3::int + 1, $1::int) as n`;

const FAILURE_CHANGES = `
insert into tds_failure_changes (fingerprint, error_tag, message, place, handler, failures, seen_at)
select fingerprint, error_tag, message, 'send handlers/forward.ts', handler, count(*), max(created_at)
from tds_failures group by fingerprint, error_tag, message, handler, date_trunc('hour', created_at, 'UTC')`;

/** Puts `count` runs of pulls that have ended into the table of workflows, one every five minutes for each organization. */
export async function addRuns(pool: pg.Pool, count: number): Promise<void> {
  await pool.query(RUNS, [count]);
}

const RUNS = `
insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by, created_at, updated_at)
select (array['SyncChanged', 'Reconcile', 'SyncAll'])[1 + (n % 100 > 95)::int + (n % 1000 = 999)::int], ${ORGANIZATION},
  case when n % 50 = 0 then 'failed' else 'completed' end, '{}', '{"message": "connection refused", "tag": "NetworkError"}',
  '{"module": null, "records": 12, "records_total": null, "pages": 1, "calls": 2}', 'schedule', at, at + interval '20 seconds'
from (select n, now() - ($1::int - n) * interval '100 seconds' as at from ${N}) runs`;

/** Puts `count` open dead letters, an event every 10 s up to an hour ago, into the queue, through the triggers. */
export async function addDeadLetters(pool: pg.Pool, count: number): Promise<void> {
  await pool.query(DEAD, [invoice(1), count]);
}

const DEAD = `
with numbers as (
  select n, ('01970000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id from generate_series(1, $2::int) as n),
inbox as (
  insert into tds_inbox_events (event_id, dedupe_key, organization_id, module, action, entity_id, event_type)
  select id, id, '600012345', 'invoice', 'updated', (984000000000000000 + n)::text, 'invoice.updated' from numbers),
payloads as (
  insert into tds_inbox_payloads (event_id, source, version, payload) select id, 'webhook', now(), $1::json from numbers)
insert into tds_sync_queue (id, entity_key, queued_at, payload_bytes, organization_id, event_type, entity_id,
  attempt_count, status, error_tag, error_message)
select id, hashint8extended(n, 2), now() - interval '1 hour' - n * interval '10 s', length($1::text), '600012345',
  'invoice.updated', (984000000000000000 + n)::text, 3, 'dead_letter', 'NetworkError', 'connection refused'
from numbers order by n`;

/** Puts `count` waiting events with full payloads into the queue, through the triggers, 10,000 at a time. */
export async function addPending(pool: pg.Pool, count: number): Promise<void> {
  const payload = invoice(1);
  for (let first = 0; first < count; first += CHUNK) {
    await pool.query(PENDING, [payload, first, Math.min(CHUNK, count - first)]);
  }
}

const CHUNK = 10_000;

const PENDING = `
with numbers as (
  select n, ('01980000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid as id
  from generate_series($2::int + 1, $2::int + $3::int) as n),
inbox as (
  insert into tds_inbox_events (event_id, dedupe_key, organization_id, module, action, entity_id, event_type)
  select id, id, '600012345', 'invoice', 'updated', (983000000000000000 + n)::text, 'invoice.updated' from numbers),
payloads as (
  insert into tds_inbox_payloads (event_id, source, version, payload)
  select id, 'webhook', now(), $1::json from numbers)
insert into tds_sync_queue (id, entity_key, queued_at, payload_bytes, organization_id, event_type, entity_id)
select id, hashint8extended(n, 1), now() - ($2::int + $3::int - n) * interval '1 ms', length($1::text), '600012345', 'invoice.updated', (983000000000000000 + n)::text
from numbers order by n`;
