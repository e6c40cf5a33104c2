import { Type } from 'typebox';
import { recentEvents, type StatusFilter } from '../../queue/inspect.ts';
import { STATUSES } from '../../queue/vocabulary.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Page, Time, Uuid } from '../schemas.ts';

const RecentEvents = Type.Array(
  Type.Object({
    id: Uuid,
    event_type: Type.String({ examples: ['contact.created'] }),
    entity_id: Nullable(Type.String({ examples: ['460000000026049'] })),
    status: Type.String({ enum: [...STATUSES] }),
    attempt_count: Type.Integer({ examples: [1] }),
    priority: Type.Integer({ examples: [1], description: 'Lower runs first.' }),
    queued_at: Time,
    started_at: Nullable(Time),
    completed_at: Nullable(Time),
    error_message: Nullable(Type.String()),
    error_tag: Nullable(Type.String()),
    outcome: Nullable(Type.String({ examples: ['applied'] })),
    event_id: Uuid,
    organization_id: Type.String(),
  }),
);

const FILTERS = [...STATUSES, 'failed'];
const Query = Type.Object({
  ...Page,
  status_filter: Type.Optional(
    Type.String({
      // The operations guide prints the statuses in capitals too.
      enum: [...FILTERS, ...FILTERS.map((filter) => filter.toUpperCase())],
      description: 'One status, or failed: the last attempt failed (retry or dead_letter).',
    }),
  ),
});

/** What happened lately, newest first. */
export function eventRoutes(api: Api, { db }: Deps): void {
  const summary = 'Recent events, newest first';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: RecentEvents } };

  api.get('/dashboard/recent-events', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor, status_filter } = request.query;
    const status = status_filter?.toLowerCase() as StatusFilter | undefined;
    const events = await recentEvents(db, { limit, status, cursor: decodeCursor(cursor) });
    const last = events.at(-1);
    if (last && events.length === limit) {
      reply.header('x-next-cursor', encodeCursor({ at: last.queued_at_exactly, id: last.id }));
    }
    return events;
  });
}
