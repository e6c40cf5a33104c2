import { Type } from 'typebox';
import { EVENTS_PER_PAGE, findEvents } from '../../monitor/find-events.ts';
import { STATUSES } from '../../queue/vocabulary.ts';
import { decodeCursor, encodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { EventInQueue, Page } from '../schemas.ts';

const Found = Type.Array(EventInQueue);

const Query = Type.Object({
  ...Page,
  // PostgreSQL's texts cannot hold NUL.
  q: Type.String({ maxLength: 200, pattern: '^[^\\0]+$', description: 'An event id, or a part of an entity id.' }),
  status_filter: Type.Optional(Type.String({ enum: [...STATUSES, 'failed'] })),
});

/** Events by id or entity: the filter of the console. */
export function findEventRoutes(api: Api, { db }: Deps): void {
  const summary = `Events by id or entity, newest first. A page looks through ${EVENTS_PER_PAGE} events: X-Next-Cursor leads on, also from an empty one`;
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: Found } };

  api.get('/dashboard/find-events', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { q, limit, cursor, status_filter } = request.query;
    const statuses = status_filter === 'failed' ? ['retry', 'dead_letter'] : status_filter && [status_filter];
    const { events, next } = await findEvents(db, {
      text: q,
      limit,
      statuses: statuses || undefined,
      after: decodeCursor('events', cursor),
    });
    if (next) reply.header('x-next-cursor', encodeCursor('events', next));
    return events;
  });
}
