/** The intake that a textbook shows: a row for the event, a row for the queue, one transaction per request. */
import { createHash, randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Arrival } from '../src/inbox/store.ts';

export async function createTextbook(pool: pg.Pool): Promise<void> {
  await pool.query(`
    create table if not exists textbook_events (
      id uuid primary key, dedupe_key text not null unique, organization_id text not null, module text not null,
      event_type text not null, entity_id text not null, payload jsonb not null,
      received_at timestamptz not null default now());
    create table if not exists textbook_queue (
      id bigint generated always as identity primary key, event_id uuid not null references textbook_events (id),
      organization_id text not null, event_type text not null, status text not null default 'pending',
      priority integer not null default 1, attempt_count integer not null default 0,
      run_at timestamptz not null default now());
    create index if not exists textbook_queue_next on textbook_queue (status, priority, run_at)`);
}

export const INSERT_EVENT = `
insert into textbook_events (id, dedupe_key, organization_id, module, event_type, entity_id, payload)
values ($1, $2, $3, $4, $5, $6, $7) on conflict (dedupe_key) do nothing`;

export const INSERT_QUEUE = 'insert into textbook_queue (event_id, organization_id, event_type) values ($1, $2, $3)';

type Row = [
  id: string,
  dedupeKey: string,
  organization: string,
  module: string,
  type: string,
  entity: string,
  json: string,
];

export function textbookRow(parsed: Arrival['parsed'], body: Buffer): Row {
  if (parsed.kind !== 'delivery') throw new Error('the bench sends deliveries only');
  const { organizationId, module, eventType, entityId, record } = parsed.delivery;
  const dedupeKey = createHash('sha256').update(body).digest('hex');
  return [randomUUID(), dedupeKey, organizationId, module, eventType, entityId, record];
}
