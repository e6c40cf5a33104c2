import { type TObject, type TSchema, Type } from 'typebox';
import { act } from '../../monitor/audit.ts';
import { resolveSyncError, syncErrors } from '../../monitor/sync/errors.ts';
import type { SyncStatus, SyncType } from '../../monitor/sync/events.ts';
import { recentSyncEvents, recentWebhooks, SYNC_STATUSES, SYNC_TYPES } from '../../monitor/sync/events.ts';
import { syncHealth } from '../../monitor/sync/health.ts';
import { PERIODS, type Period, syncMetrics, syncTimeline } from '../../monitor/sync/metrics.ts';
import { syncOverview } from '../../monitor/sync/overview.ts';
import { syncPerformance } from '../../monitor/sync/performance.ts';
import type { Api, Deps } from '../deps.ts';
import { actorOf } from '../plugins/auth.ts';
import { notFound, Problem } from '../problem.ts';
import { IdParams, MAX_LIMIT } from '../schemas.ts';
import * as answers from '../sync-schemas.ts';

const limit = (usual: number) => Type.Integer({ minimum: 1, maximum: MAX_LIMIT, default: usual });
const MAX_HOURS = 168;

const status = Type.Optional(Type.String({ enum: [...SYNC_STATUSES] }));
const scope = {
  organization_id: Type.Optional(Type.String({ maxLength: 100 })),
  module: Type.Optional(Type.String({ maxLength: 100, description: 'Then without runs, which are of many modules.' })),
};
const Events = Type.Object({
  ...{ limit: limit(20), status, type: Type.Optional(Type.String({ enum: [...SYNC_TYPES] })) },
});
const Webhooks = Type.Object({ limit: limit(20), status });
const Metrics = Type.Object({
  period: Type.String({ enum: [...PERIODS], default: 'hour' }),
  ...{ limit: limit(24), ...scope },
});
const Errors = Type.Object({ include_resolved: Type.Boolean({ default: false }), limit: limit(50) });
const Timeline = Type.Object({
  hours: Type.Integer({ minimum: 1, maximum: MAX_HOURS, default: 24 }),
  ...scope,
});

/** How the mirror is kept in step: runs of pulls and webhooks, their errors, their course. */
export function syncRoutes(api: Api, deps: Deps): void {
  stateRoutes(api, deps);
  courseRoutes(api, deps);
  errorRoutes(api, deps);
}

function route<Query extends TObject, Answer extends TSchema>(summary: string, querystring: Query, answer: Answer) {
  const schema = { tags: ['dashboard'], summary, querystring, response: { 200: answer } };
  return { config: { role: 'viewer' as const }, schema };
}

const NOTHING = Type.Object({});

function stateRoutes(api: Api, { db, config }: Deps): void {
  const health = route('Whether the pulls succeed, and how fresh each module is', NOTHING, answers.SyncHealth);
  api.get('/dashboard/sync/health', health, async () => syncHealth(db, config));

  const overview = route('The sync at a glance', NOTHING, answers.SyncOverview);
  api.get('/dashboard/sync/overview', overview, async () => syncOverview(db, config));

  const performance = route('How long it takes, compared with the week before', NOTHING, answers.SyncPerformance);
  api.get('/dashboard/sync/performance', performance, async () => syncPerformance(db));
}

function courseRoutes(api: Api, { db }: Deps): void {
  const events = route('Runs of pulls and webhooks, latest first', Events, answers.SyncEvents);
  api.get('/dashboard/sync/events', events, async ({ query }) =>
    recentSyncEvents(db, {
      ...{ limit: query.limit, status: query.status as SyncStatus | undefined },
      type: query.type as SyncType | undefined,
    }),
  );

  const webhooks = route('Webhooks, latest first', Webhooks, answers.SyncEvents);
  api.get('/dashboard/sync/webhooks', webhooks, async ({ query }) =>
    recentWebhooks(db, { limit: query.limit, status: query.status as SyncStatus | undefined }),
  );

  const metrics = route('What was synchronised per hour, day or week', Metrics, answers.SyncMetrics);
  api.get('/dashboard/sync/metrics', metrics, async ({ query }) =>
    syncMetrics(db, query.period as Period, query.limit, scopeOf(query)),
  );

  const timeline = route('The last hours, one by one', Timeline, answers.SyncTimeline);
  api.get('/dashboard/sync/timeline', timeline, async ({ query }) => syncTimeline(db, query.hours, scopeOf(query)));
}

function scopeOf({ organization_id, module }: { organization_id?: string; module?: string }) {
  return { organizationId: organization_id, module };
}

function errorRoutes(api: Api, { db }: Deps): void {
  const errors = route('What went wrong and is not yet right, latest first', Errors, answers.SyncErrors);
  api.get('/dashboard/sync/errors', errors, async ({ query }) =>
    syncErrors(db, { limit: query.limit, includeResolved: query.include_resolved }),
  );

  const action = 'sync.resolve_error';
  const summary = 'Say that a failed run is dealt with';
  const schema = { tags: ['dashboard'], summary, params: IdParams, response: { 200: answers.SyncErrorResolved } };
  api.post('/dashboard/sync/errors/:id/resolve', { config: { role: 'operator', action }, schema }, async (request) => {
    const { id } = request.params;
    const actor = actorOf(request);
    const run = (trx: Deps['db']) => resolveSyncError(trx, id, actor.name);
    const { outcome } = await act(db, actor, { action, target: id, stands: ['resolved'], run });
    if (outcome !== 'resolved') throw refusal(outcome);
    return { success: true as const, error_id: id };
  });
}

function refusal(outcome: 'already' | 'an_event' | 'not_found'): Problem {
  switch (outcome) {
    case 'not_found':
      return notFound('error', 'They are listed at dashboard/sync/errors.');
    case 'already':
      return new Problem(409, 'already_resolved', 'This run has not failed, or its failure is resolved already.');
    case 'an_event':
      return new Problem(
        409,
        'resolved_by_its_end',
        'This error is of an event: it resolves when the event completes. Retry or discard its dead letter.',
      );
  }
}
