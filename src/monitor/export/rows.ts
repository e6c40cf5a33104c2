import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { parseLossless } from '../../lossless.ts';
import { candidatesOf, type EventKind } from './candidates.ts';

export type Kind = EventKind | 'runs' | 'logs' | 'audit';
export const KINDS = ['events', 'pending', 'failed', 'dead_letters', 'runs', 'logs', 'audit'] as const satisfies Kind[];

export type Row = Record<string, unknown>;
export type Window = { since?: Date | undefined; before?: Date | undefined };

/** In the order of the runbook: type second, attempts fourth, error eighth, idempotency key ninth, duplicate key tenth. */
const EVENT_COLUMNS = [
  ...['id', 'event_type', 'entity_id', 'attempt_count', 'status', 'queued_at', 'run_at', 'error_message'],
  ...['idempotency_key', 'dedupe_key', 'error_tag', 'organization_id', 'priority', 'started_at', 'completed_at'],
  ...['outcome', 'payload'],
];
const LOG_COLUMNS = [
  ...['queue_id', 'created_at', 'attempt', 'status', 'duration_ms', 'worker_id', 'outcome', 'error_tag'],
  'error_message',
];
const RUN_COLUMNS = [
  ...[
    'id',
    'name',
    'organization_id',
    'status',
    'started_by',
    'created_at',
    'updated_at',
    'payload',
    'progress',
    'result',
  ],
];
const AUDIT_COLUMNS = [
  'id',
  'created_at',
  'operator',
  'action',
  'target',
  'result',
  'request_id',
  'detail',
  'reason',
  'before',
  'after',
  'hash',
];

export function columnsOf(kind: Kind): string[] {
  if (kind === 'logs') return LOG_COLUMNS;
  if (kind === 'runs') return RUN_COLUMNS;
  return kind === 'audit' ? AUDIT_COLUMNS : EVENT_COLUMNS;
}

const PAGE = 500;
/** Payloads that are in memory at once, in bytes. */
const CHUNK_BYTES = 1024 * 1024;

/**
 * The rows of an export, page by page: each statement is short, so that a long export holds back neither vacuum nor a
 * purge, and memory stays the same with any number of rows. What is deleted meanwhile is left out; what arrives after
 * the beginning is not in it.
 */
export async function* exportRows(db: Database, kind: Kind, window: Window): AsyncGenerator<Row> {
  const began = await now(db);
  const within = { since: window.since, before: window.before && window.before < began ? window.before : began };
  if (kind === 'logs') yield* logs(db, within);
  else if (kind === 'runs') yield* runs(db, within);
  else if (kind === 'audit') yield* audit(db, within);
  else yield* events(db, kind, within);
}

type Within = { since: Date | undefined; before: Date };

async function now(db: Database): Promise<Date> {
  const { rows } = await sql<{ now: Date }>`select clock_timestamp() as now`.execute(db);
  return rows[0]?.now ?? new Date();
}

async function* events(db: Database, kind: EventKind, within: Within): AsyncGenerator<Row> {
  let ids: string[] = [];
  let bytes = 0;
  for await (const { id, payload_bytes } of candidatesOf(db, kind, within.since, PAGE)) {
    if (ids.length > 0 && (ids.length === PAGE || bytes + payload_bytes > CHUNK_BYTES)) {
      yield* readEvents(db, ids, within);
      ids = [];
      bytes = 0;
    }
    ids.push(id);
    bytes += payload_bytes;
  }
  yield* readEvents(db, ids, within);
}

async function* readEvents(db: Database, ids: string[], { since, before }: Within): AsyncGenerator<Row> {
  const { rows } = await sql<Row & { payload: string | null }>`
    select q.id, q.event_type, q.entity_id, q.attempt_count, q.status, q.queued_at, q.run_at, q.error_message,
      'tds-' || q.id as idempotency_key, i.dedupe_key, q.error_tag, q.organization_id, q.priority, q.started_at,
      q.completed_at, q.outcome, p.payload::text as payload
    from unnest(${ids}::uuid[]) with ordinality as n (id, place) join tds_sync_queue q on q.id = n.id
      left join tds_inbox_events i on i.event_id = q.id left join tds_inbox_payloads p on p.event_id = q.id
    where q.queued_at >= ${since ?? new Date(0)} and q.queued_at < ${before} order by n.place`.execute(db);
  // One at a time: as objects they take many times the room of their text.
  for (const row of rows) yield { ...row, payload: json(row.payload) };
}

// By address: the log has no key. New rows stand behind or in room that a purge made; neither matters.
async function* logs(db: Database, { since, before }: Within): AsyncGenerator<Row> {
  for (let after = '(0,0)'; ; ) {
    const { rows } = await sql<Row & { place: string }>`
      select queue_id, created_at, attempt, status, duration_ms, worker_id, outcome, error_tag, error_message,
        ctid::text as place
      from tds_sync_logs where ctid > ${after}::tid order by ctid limit ${PAGE}`.execute(db);
    for (const { place: _place, ...row } of rows) {
      const at = row.created_at as Date;
      if (at < before && (since === undefined || at >= since)) yield row;
    }
    const last = rows.at(-1);
    if (!last) return;
    after = last.place;
  }
}

/** Runs of workflows: pulls, reconciliations. A result may hold a megabyte, so few are in memory at once. */
async function* runs(db: Database, { since, before }: Within): AsyncGenerator<Row> {
  for (let after: { at: string; id: string } | undefined; ; ) {
    const place = after ? sql`(created_at, id) > (${after.at}::timestamptz, ${after.id}::uuid)` : sql`true`;
    const { rows } = await sql<
      Row & { id: string; at: string } & Record<'payload' | 'progress' | 'result', string | null>
    >`
      select id, name, organization_id, status, started_by, created_at, updated_at, payload::text as payload,
        progress::text as progress, result::text as result, created_at::text as at
      from tds_workflows where ${place} and created_at >= ${since ?? new Date(0)} and created_at < ${before}
      order by created_at, id limit ${RUNS_PAGE}`.execute(db);
    for (const { at: _at, payload, progress, result, ...row } of rows)
      yield { ...row, payload: json(payload), progress: json(progress), result: json(result) };
    const last = rows.at(-1);
    if (!last) return;
    after = { at: last.at, id: last.id };
  }
}

const RUNS_PAGE = 20;
const json = (text: string | null) => (text === null ? null : parseLossless(text));

async function* audit(db: Database, { since, before }: Within): AsyncGenerator<Row> {
  for (let after = '0'; ; ) {
    const { rows } = await sql<Row & { id: string }>`
      select id::text as id, created_at, operator, action, target, result, request_id, detail, reason, before, after,
        encode(hash, 'hex') as hash
      from tds_audit_log
      where id > ${after}::bigint and created_at >= ${since ?? new Date(0)} and created_at < ${before}
      order by tds_audit_log.id limit ${PAGE}`.execute(db);
    yield* rows;
    const last = rows.at(-1);
    if (!last) return;
    after = last.id;
  }
}
