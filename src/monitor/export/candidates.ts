import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';

export type EventKind = 'events' | 'pending' | 'failed' | 'dead_letters';
export type Candidate = { id: string; payload_bytes: number };

type Found = Candidate & { at: string };
type Page = (after: Found | undefined, limit: number) => Promise<Found[]>;

/** The events of an export, each by an index that knows them: a rare status must not read millions of completed rows. */
export async function* candidatesOf(
  db: Database,
  kind: EventKind,
  since: Date | undefined,
  limit: number,
): AsyncGenerator<Candidate> {
  const pages: Record<EventKind, Page[]> = {
    events: [all(db, since)],
    pending: [waiting(db, ['pending', 'retry'])],
    failed: [waiting(db, ['retry']), dead(db)],
    dead_letters: [dead(db)],
  };
  for (const page of pages[kind]) yield* walk(page, limit);
}

async function* walk(page: Page, limit: number): AsyncGenerator<Candidate> {
  for (let after: Found | undefined, more = true; more; ) {
    const found = await page(after, limit);
    yield* found;
    after = found.at(-1);
    more = found.length === limit;
  }
}

function all(db: Database, since: Date | undefined): Page {
  return async (after, limit) => {
    const begin = sql`queued_at >= ${since ?? new Date(0)}`;
    const place = after ? sql`(queued_at, id) > (${after.at}::timestamptz, ${after.id}::uuid)` : begin;
    const { rows } = await sql<Found>`
      select id, payload_bytes, queued_at::text as at from tds_sync_queue where ${place}
      order by queued_at, id limit ${limit}`.execute(db);
    return rows;
  };
}

function waiting(db: Database, statuses: string[]): Page {
  return async (after, limit) => {
    const [key = '', arrival = ''] = after?.at.split(' ') ?? [];
    const place = after ? sql`(entity_key, arrival) > (${key}::bigint, ${arrival}::bigint)` : sql`true`;
    const { rows } = await sql<Found>`
      select id, payload_bytes, entity_key || ' ' || arrival as at from tds_queue_waiting
      where ${place} and status = any (${statuses}) order by entity_key, arrival limit ${limit}`.execute(db);
    return rows;
  };
}

function dead(db: Database): Page {
  return async (after, limit) => {
    const place = after ? sql`d.id > ${after.id}::uuid` : sql`true`;
    const { rows } = await sql<Found>`
      select d.id, q.payload_bytes, '' as at from tds_dead_letter_queue d join tds_sync_queue q on q.id = d.id
      where ${place} and d.resolved_at is null order by d.id limit ${limit}`.execute(db);
    return rows;
  };
}
