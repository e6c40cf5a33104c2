import { sql } from 'kysely';
import type { Database } from '../../db/database.ts';
import type { Status } from '../../queue/vocabulary.ts';
import type { Position } from '../page.ts';
import { type AttemptOfStory, attemptsOf, type DeedOfStory, deedsOf } from './parts.ts';

export type EventOfEntity = {
  id: string;
  event_type: string;
  status: Status;
  attempt_count: number;
  queued_at: Date;
  completed_at: Date | null;
  outcome: string | null;
  error_tag: string | null;
  /** An operator took it out of the queue. */
  discarded: boolean;
  source: string | null;
  /** last_modified_time of the record that it brought. */
  version: Date | null;
  attempts: AttemptOfStory[];
  deeds: DeedOfStory[];
};

/** What the mirror holds of a record. */
export type MirroredEntity = {
  version: Date | null;
  received_at: Date;
  updated_at: Date;
  deleted_at: Date | null;
  stale_since: Date | null;
  complete: boolean;
  source: string;
  event_id: string | null;
};

export type Entity = { organizationId: string; module: string; entityId: string };

/**
 * The story of one record: its events, the latest arrival first, each with its attempts, deeds and version, and what the mirror
 * holds. Events are found
 * through the indexes by entity key, discarded ones too.
 * @param options.after the `next` of the page before
 */
export async function entityStory(
  db: Database,
  { organizationId, module, entityId }: Entity,
  { limit, after }: { limit: number; after?: Position | undefined },
): Promise<{ mirrored: MirroredEntity | null; events: EventOfEntity[]; next: Position | undefined }> {
  const behind = after ? sql`and arrival < (select arrival from tds_known_events where id = ${after.id})` : sql``;
  const [{ rows }, mirrored] = await Promise.all([
    sql<Omit<EventOfEntity, 'attempts' | 'deeds'> & { at: string }>`
      select q.id, event_type, status, attempt_count, queued_at, completed_at, outcome, error_tag, discarded, p.source, p.version,
        queued_at::text as at
      from (
        select * from tds_known_events
        where entity_key = tds_entity_key(${organizationId}, ${module}, ${entityId}, null) and entity_id = ${entityId}
          ${behind} order by arrival desc limit ${limit + 1}) q
      left join tds_inbox_payloads p on p.event_id = q.id
      order by arrival desc`.execute(db),
    db
      .selectFrom('books_records')
      .select(['version', 'received_at', 'updated_at', 'deleted_at', 'stale_since', 'complete', 'source', 'event_id'])
      .where('module', '=', module)
      .where('entity_id', '=', entityId)
      .where('organization_id', '=', organizationId)
      .executeTakeFirst(),
  ]);
  const page = rows.slice(0, limit);
  const last = rows.length > limit ? page.at(-1) : undefined;
  const ids = page.map(({ id }) => id);
  const [attempts, deeds] = await Promise.all([attemptsOf(db, ids), deedsOf(db, ids)]);
  const events = page.map(({ at: _at, ...event }) => ({
    ...event,
    attempts: attempts.filter(({ event_id }) => event_id === event.id),
    deeds: deeds.filter(({ event_id }) => event_id === event.id),
  }));
  return { mirrored: mirrored ?? null, events, next: last && { at: last.at, id: last.id } };
}
