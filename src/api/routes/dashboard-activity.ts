import { Type } from 'typebox';
import { readActivity } from '../../monitor/activity.ts';
import type { Api, Deps } from '../deps.ts';
import { Time } from '../schemas.ts';

const Count = Type.Integer({ minimum: 0, examples: [120] });

const Activity = Type.Object({
  timestamp: Time,
  hours: Type.Array(
    Type.Object({
      hour: Type.String({ format: 'date-time', description: 'Begin of the hour, UTC.' }),
      arrivals: { ...Count, description: 'Events that entered the queue.' },
      completions: { ...Count, description: 'Attempts that completed their event.' },
      failures: { ...Count, description: 'Attempts that failed.' },
    }),
    { description: 'Oldest first; the last one is the current hour so far.' },
  ),
});

const MAX_HOURS = 168;
const Query = Type.Object({ hours: Type.Integer({ minimum: 1, maximum: MAX_HOURS, default: 24 }) });

/** The course of the last hours: what the console plots. */
export function activityRoutes(api: Api, { db }: Deps): void {
  const summary = 'Arrivals, completions and failures per hour';
  const schema = { tags: ['dashboard'], summary, querystring: Query, response: { 200: Activity } };

  api.get('/dashboard/activity', { config: { role: 'viewer' }, schema }, async ({ query }) => ({
    timestamp: new Date().toISOString(),
    hours: await readActivity(db, query.hours),
  }));
}
