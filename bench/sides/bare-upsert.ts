/**
 * What the mirror would be without a queue: inbox rows and mirror rows written straight from memory, 500 a statement,
 * one transaction per batch, two connections.
 */
import { createHash } from 'node:crypto';
import type pg from 'pg';
import { newEventId } from '../../src/inbox/uuid.ts';
import { open } from '../engine.ts';
import { invoice } from '../invoice.ts';
import { side } from '../side.ts';

const BATCH = 500;
const CONNECTIONS = 2;

side<{ url: string; jobs: number }, { perSecond: number; upsertPerSecond: number }>(async ({ url, jobs }) => {
  const { pool } = open(url, CONNECTIONS);
  const upsertPerSecond = await rate(jobs, (first) => pool.query(upsert('upsert', rowsFrom(first))));
  await pool.query('truncate books_records');
  await pool.query('checkpoint');
  const perSecond = await rate(jobs, (first) => writeBoth(pool, rowsFrom(first)));
  return { perSecond, upsertPerSecond };
});

async function rate(jobs: number, write: (first: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const writer = async () => {
    while (next < jobs) {
      const first = next;
      next += BATCH;
      await write(first);
    }
  };
  const started = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, writer));
  return jobs / ((performance.now() - started) / 1000);
}

async function writeBoth(pool: pg.Pool, rows: Row[]): Promise<void> {
  const client = await pool.connect();
  await client.query('begin');
  await client.query(insertInbox(rows));
  await client.query(upsert('mirror', rows));
  await client.query('commit');
  client.release();
}

type Row = { id: string; dedupeKey: string; entityId: string; version: Date; record: string };

function rowsFrom(first: number): Row[] {
  return Array.from({ length: BATCH }, (_, i) => {
    const record = invoice(first + i);
    const dedupeKey = createHash('md5').update(record).digest('hex');
    return {
      id: newEventId(),
      dedupeKey,
      entityId: `${first + i}`,
      version: new Date(1.7e12 + (first + i) * 1000),
      record,
    };
  });
}

function insertInbox(rows: Row[]) {
  return {
    name: 'inbox',
    text: `
      with input as (
        select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::text[])
          as e (event_id, dedupe_key, entity_id, version, record)),
      fresh as (
        insert into tds_inbox_events (event_id, dedupe_key, organization_id, module, action, entity_id, event_type)
        select event_id, dedupe_key, '600012345', 'invoice', 'updated', entity_id, 'invoice.updated'
        from input on conflict (dedupe_key) do nothing returning event_id)
      insert into tds_inbox_payloads (event_id, source, version, payload, ip, user_agent)
      select event_id, 'webhook', version, record::json, '127.0.0.1', 'bench'
      from input join fresh using (event_id)`,
    values: columns(rows, 'id', 'dedupeKey', 'entityId', 'version', 'record'),
  };
}

function upsert(name: string, rows: Row[]) {
  return {
    name,
    text: `
      insert into books_records as stored (module, entity_id, organization_id, version, received_at, record, event_id)
      select 'invoice', entity_id, '600012345', version, now(), record::jsonb, event_id
      from unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) as e (event_id, entity_id, version, record)
      on conflict (module, entity_id, organization_id) do update
      set version = excluded.version, record = excluded.record, event_id = excluded.event_id, updated_at = now()
      where excluded.version > stored.version`,
    values: columns(rows, 'id', 'entityId', 'version', 'record'),
  };
}

function columns(rows: Row[], ...names: (keyof Row)[]): unknown[][] {
  return names.map((name) => rows.map((row) => row[name]));
}
