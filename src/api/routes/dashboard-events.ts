import { Type } from 'typebox';
import { recentEvents, type StatusFilter } from '../../monitor/recent-events.ts';
import { queueStats } from '../../queue/inspect.ts';
import { STATUSES } from '../../queue/vocabulary.ts';
import { decodeCursor } from '../cursor.ts';
import type { Api, Deps } from '../deps.ts';
import { pageHeaders } from '../page-headers.ts';
import { EventInQueue, Page } from '../schemas.ts';

const RecentEvents = Type.Array(EventInQueue);

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
  const summary = 'Recent events, newest first; X-Total-Count says how many there are, X-Next-Cursor leads on';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: RecentEvents } };

  api.get('/dashboard/recent-events', { config: { role: 'viewer' }, schema }, async (request, reply) => {
    const { limit, cursor, status_filter } = request.query;
    const status = status_filter?.toLowerCase() as StatusFilter | undefined;
    const after = decodeCursor('events', cursor);
    const [{ events, next }, stats] = await Promise.all([recentEvents(db, { limit, status, after }), queueStats(db)]);
    reply.headers(pageHeaders('events', next, countOf(stats, status)));
    return events;
  });
}

function countOf(stats: Awaited<ReturnType<typeof queueStats>>, status: StatusFilter | undefined): number {
  if (status === undefined) return stats.total;
  return status === 'failed' ? stats.retry + stats.dead_letter : stats[status];
}
