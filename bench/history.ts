/** Rows in bulk, made by PostgreSQL itself: what the tables look like after millions of events. */
import type pg from 'pg';
import { invoice } from './invoice.ts';

/**
 * Puts `count` completed events into inbox, queue and logs, an event every 100 ms up to an hour ago, as the worker
 * leaves them; every fifth failed at its first attempt. Their payload is `{}`: claims and counts never read it.
 */
export async function addCompleted(pool: pg.Pool, count: number): Promise<void> {
  for (const insert of [INBOX, PAYLOADS, QUEUE, LOGS, FAILURES]) await pool.query(insert, [count]);
  await pool.query("select setval('tds_arrival', greatest($1::bigint, (select last_value from tds_arrival)))", [count]);
}

/** A UUID in the order of n, as v7 ids are in the order of time. */
const ID = `('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid`;
const TIME = `now() - interval '1 hour' - ($1::int - n) * interval '100 ms'`;
const N = 'generate_series(1, $1::int) as n';

const INBOX = `
insert into tds_inbox_events (event_id, dedupe_key, received_at, processed_at, processed, organization_id, module,
  action, entity_id, event_type)
select ${ID}, ${ID}, ${TIME}, ${TIME}, true, '600012345', 'invoice', 'updated', (982000000000000000 + n)::text,
  'invoice.updated' from ${N}`;

const PAYLOADS = `
insert into tds_inbox_payloads (event_id, source, version, payload)
select ${ID}, 'webhook', ${TIME}, '{}' from ${N}`;

const QUEUE = `
insert into tds_sync_queue (id, arrival, entity_key, queued_at, run_at, payload_bytes, organization_id, event_type,
  entity_id, attempt_count, status, started_at, completed_at)
select ${ID}, n, hashint8extended(n, 0), ${TIME}, ${TIME}, 1500, '600012345', 'invoice.updated',
  (982000000000000000 + n)::text, 1, 'completed', ${TIME}, ${TIME} from ${N}`;

const LOGS = `
insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status)
select ${ID}, ${ID}, ${TIME}, 1, 1, 'completed' from ${N}`;

const FAILURES = `
insert into tds_sync_logs (queue_id, worker_id, created_at, duration_ms, attempt, status, error_tag, error_message)
select ${ID}, ${ID}, ${TIME}, 1, 1, 'retry', 'NetworkError', 'connection refused' from ${N} where n % 5 = 0`;

/** Puts `count` open dead letters of the last hour into the queue, through the triggers. */
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
select id, hashint8extended(n, 2), now() - interval '1 hour' + n * interval '100 ms', length($1::text), '600012345',
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
insert into tds_sync_queue (id, entity_key, payload_bytes, organization_id, event_type, entity_id)
select id, hashint8extended(n, 1), length($1::text), '600012345', 'invoice.updated', (983000000000000000 + n)::text
from numbers order by n`;
