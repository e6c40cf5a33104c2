import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import { parseLossless } from '../../lossless.ts';

/** How one attempt ended. */
export type AttemptOfStory = {
  event_id: string;
  ended_at: Date;
  attempt: number;
  status: string;
  duration_ms: number | null;
  worker_id: string | null;
  outcome: string | null;
  error_tag: string | null;
  /** Template of the message, of a failure. */
  message: string | null;
  handler: string | null;
  fingerprint: string | null;
};

/** What an operator did to an event. */
export type DeedOfStory = {
  event_id: string;
  at: Date;
  operator: string;
  action: string;
  result: string;
  request_id: string | null;
};

/** So many attempts and deeds of a story are shown, the latest. */
export const MAX_PARTS = 500;

/** The attempts at these events, oldest first; of messages only the templates, which name nobody. */
export async function attemptsOf(db: Database, ids: string[]): Promise<AttemptOfStory[]> {
  const { rows } = await sql<AttemptOfStory>`
    select l.queue_id as event_id, l.created_at as ended_at, l.attempt, l.status, l.duration_ms, l.worker_id, l.outcome,
      l.error_tag, f.message, f.handler, f.fingerprint
    from (select * from tds_sync_logs where queue_id = any (${ids}::uuid[]) order by created_at desc limit ${MAX_PARTS}) l
    left join lateral (
      select message, handler, fingerprint from tds_failures f
      where f.event_id = l.queue_id and f.attempt = l.attempt and f.status = l.status
        and f.created_at between l.created_at and l.created_at + interval '1 minute'
      order by f.created_at limit 1) f on true
    order by l.created_at, l.attempt`.execute(db);
  return rows;
}

/** What operators did to these events, oldest first. */
export async function deedsOf(db: Database, ids: string[]): Promise<DeedOfStory[]> {
  const { rows } = await sql<DeedOfStory>`
    select target as event_id, created_at as at, operator, action, result, request_id from (
      select * from tds_audit_log where target = any (${ids}::text[]) order by id desc limit ${MAX_PARTS}) a
    order by id`.execute(db);
  return rows;
}

/** An edit: the new event, the dead letter it was made of, and what was changed. */
export type EditOfStory = {
  event_id: string;
  original_id: string;
  at: Date;
  author: string;
  reason: string;
  difference: { path: string; before?: unknown; after?: unknown }[];
};

/** The edit that made an event, and the one that put another in its place. */
export async function editsOf(
  db: Database,
  id: string,
): Promise<{ edit_of: EditOfStory | null; edited_into: EditOfStory | null }> {
  const { rows } = await sql<Omit<EditOfStory, 'difference'> & { difference: string }>`
    select event_id, original_id, created_at as at, author, reason, difference::text as difference
    from tds_event_edits where event_id = ${id} or original_id = ${id}`.execute(db);
  const edits = rows.map((row) => ({ ...row, difference: parseLossless(row.difference) as EditOfStory['difference'] }));
  return {
    edit_of: edits.find(({ event_id }) => event_id === id) ?? null,
    edited_into: edits.find(({ original_id }) => original_id === id) ?? null,
  };
}
