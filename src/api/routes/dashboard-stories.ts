import { Type } from 'typebox';
import { entityStory } from '../../monitor/story/entity.ts';
import { eventStory } from '../../monitor/story/event.ts';
import { MAX_PARTS } from '../../monitor/story/parts.ts';
import { STATUSES } from '../../queue/vocabulary.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { notFound } from '../problem.ts';
import { Differences, IdParams, Nullable, Page, Time, Uuid } from '../schemas.ts';

const Text = Nullable(Type.String());
const Status = Type.String({ enum: [...STATUSES] });

const Attempt = Type.Object({
  event_id: Uuid,
  ended_at: Time,
  attempt: Type.Integer(),
  status: Type.String({ enum: ['completed', 'retry', 'dead_letter', 'released', 'crashed'] }),
  duration_ms: Nullable(Type.Number()),
  worker_id: Nullable(Uuid),
  outcome: Text,
  error_tag: Text,
  message: Nullable(Type.String({ description: 'Of a failure, without quoted values, ids and numbers.' })),
  handler: Text,
  fingerprint: Nullable(Type.String({ description: 'Its group at dashboard/errors.' })),
});

const Deed = Type.Object({
  event_id: Uuid,
  at: Time,
  operator: Type.String(),
  action: Type.String({ examples: ['dead_letter.retry'] }),
  result: Type.String({ examples: ['retried'] }),
  request_id: Text,
});

const EditOf = Type.Object({
  event_id: Type.String({ description: 'The new event.' }),
  original_id: Type.String({ description: 'The dead letter that it was made of.' }),
  at: Time,
  author: Type.String(),
  reason: Type.String(),
  difference: Differences,
});

const parts = `The latest ${MAX_PARTS} at most, oldest first.`;

const EventStory = Type.Object({
  id: Uuid,
  organization_id: Type.String(),
  event_type: Type.String({ examples: ['contact.created'] }),
  entity_id: Text,
  status: Status,
  attempt_count: Type.Integer(),
  priority: Type.Integer(),
  queued_at: Time,
  started_at: Nullable(Time),
  completed_at: Nullable(Time),
  outcome: Text,
  error_tag: Text,
  delivery: Nullable(
    Type.Object({
      received_at: Time,
      source: Type.String({ enum: ['webhook', 'pull', 'operator'] }),
      version: Nullable(Time),
      bytes: Type.Integer({ description: 'Of the record.' }),
      quarantine_reason: Text,
    }),
  ),
  waits_for: Type.Object({
    reason: Type.String({ examples: ['its_turn'] }),
    sentence: Type.String({ examples: ['The queue is paused by ann since 2026-10-31T10:00:00.000Z.'] }),
    until: Nullable(Time),
    event_id: Nullable(Uuid),
  }),
  next_attempt_at: Nullable(Time),
  lease: Nullable(
    Type.Object({
      worker_id: Uuid,
      host: Text,
      pid: Nullable(Type.Integer()),
      since: Time,
      expires_at: Nullable(Time),
    }),
  ),
  attempts: Type.Array(Attempt, { description: parts }),
  dead_letter: Nullable(
    Type.Object({
      opened_at: Time,
      retry_count: Type.Integer(),
      last_retry_at: Nullable(Time),
      resolved_at: Nullable(Time),
    }),
  ),
  discarded: Nullable(
    Type.Object({ at: Time, by: Type.String(), reason: Type.String() }, { description: 'Taken out of the queue.' }),
  ),
  edit_of: Nullable(EditOf),
  edited_into: Nullable(EditOf),
  deeds: Type.Array(Deed, { description: parts }),
});

const EntityStory = Type.Object({
  organization_id: Type.String(),
  module: Type.String(),
  entity_id: Type.String(),
  mirrored: Nullable(
    Type.Object({
      version: Nullable(Time),
      received_at: Time,
      updated_at: Time,
      deleted_at: Nullable(Time),
      stale_since: Nullable(Time),
      complete: Type.Boolean(),
      source: Type.String(),
      event_id: Nullable(Uuid),
    }),
  ),
  events: Type.Array(
    Type.Object({
      id: Uuid,
      event_type: Type.String(),
      status: Status,
      attempt_count: Type.Integer(),
      queued_at: Time,
      completed_at: Nullable(Time),
      outcome: Text,
      error_tag: Text,
      discarded: Type.Boolean(),
      source: Text,
      version: Nullable(Time),
      attempts: Type.Array(Attempt),
      deeds: Type.Array(Deed),
    }),
    { description: 'The latest first.' },
  ),
});

// PostgreSQL's texts cannot hold NUL.
const Segment = Type.String({ maxLength: 100, pattern: '^[^\\0]+$' });

/** The story of one event, and of one record. Without payloads: see dashboard/dead-letter and the mirror for those. */
export function storyRoutes(api: Api, { db }: Deps): void {
  const tags = ['dashboard'];
  const config = { role: 'viewer' } as const;
  const summary = 'One event: delivery, attempts, deeds of operators, and what it waits for';
  const ofEvent = { tags, summary, params: IdParams, response: { 200: EventStory } };
  api.get('/dashboard/events/:id', { config, schema: ofEvent }, async ({ params: { id } }) => {
    const story = await eventStory(db, id);
    if (!story) throw notFound('event', 'Look for it with dashboard/find-events; completed ones are purged one day.');
    return story;
  });

  const ofEntity = {
    tags,
    summary: 'One record: its events with attempts, deeds and versions; X-Next-Cursor leads on',
    params: Type.Object({ organization_id: Segment, module: Segment, entity_id: Segment }),
    querystring: Type.Object(Page),
    response: { 200: EntityStory },
  };
  const url = '/dashboard/entities/:organization_id/:module/:entity_id';
  api.get(url, { config, schema: ofEntity }, async ({ params, query: { limit, cursor } }, reply) => {
    const { organization_id: organizationId, module, entity_id: entityId } = params;
    const after = decodeCursor('events', cursor);
    const { next, ...story } = await entityStory(db, { organizationId, module, entityId }, { limit, after });
    if (!after && story.events.length === 0 && !story.mirrored)
      throw notFound('record', 'Its address is dashboard/entities/<organization>/<module>/<id>, such as …/invoice/….');
    if (next) reply.header('x-next-cursor', encodeCursor('events', next));
    return { ...params, ...story };
  });
}
