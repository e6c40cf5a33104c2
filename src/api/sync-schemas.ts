/** What the routes of dashboard/sync answer: the keys of the sync monitoring guide in snake_case, and more. */
import { Type } from 'typebox';
import { SYNC_STATUSES, SYNC_TYPES } from '../monitor/sync/events.ts';
import { PERIODS } from '../monitor/sync/metrics.ts';
import { Nullable, Time, Uuid } from './schemas.ts';

const Count = Type.Integer({ minimum: 0 });
const Text = Type.String();
const Percent = Nullable(Type.String({ description: 'In percent; null where nothing happened.', examples: ['98.50'] }));
const Duration = Type.String({ description: 'N/A where nothing ended.', examples: ['1234ms'] });
const Milliseconds = Nullable(Type.Number({ description: 'Milliseconds.' }));
const Type_ = Type.String({ enum: [...SYNC_TYPES] });

export const SyncEventSchema = Type.Object({
  id: { ...Uuid, description: 'Of the workflow, or of the event.' },
  service: Text,
  organization_id: Text,
  name: Type.String({ description: 'Of the workflow, or the event type.', examples: ['SyncChanged'] }),
  sync_type: Type_,
  status: Type.String({ enum: [...SYNC_STATUSES], description: 'failed: also a run that an operator ended.' }),
  started_at: Time,
  completed_at: Nullable(Time),
  duration_ms: Milliseconds,
  duration: Duration,
  items_processed: Count,
  items_per_second: Type.String({ examples: ['12.50'] }),
  error_message: Nullable(Text),
  error_code: Nullable(Type.String({ examples: ['NetworkError'] })),
  sync_token_before: Nullable(Type.String({ description: 'From when on the first module of the run was pulled.' })),
  sync_token_after: Nullable(Type.String({ description: 'Up to when it is known now.' })),
});

export const SyncEvents = Type.Array(SyncEventSchema);

const Alert = Type.Object({ id: Uuid, severity: Text, title: Text, message: Text, fired_at: Time });
const Alerts = Type.Array(Alert, { description: 'Those that fire and that nobody has acknowledged.' });
const Status = Type.String({
  enum: ['healthy', 'degraded', 'unhealthy', 'unknown'],
  description: 'degraded: the last run failed; unhealthy: the last three or more; unknown: no run has ended.',
});

const state = {
  status: Status,
  consecutive_failures: Type.Integer({ description: 'Runs that failed since the last one that succeeded.' }),
  is_healthy: Type.Boolean({ description: 'Below three failures in a row.' }),
  last_failed_sync: Nullable(Time),
  last_full_sync: Nullable(Time),
  last_incremental_sync: Nullable(Time),
};

export const SyncHealth = Type.Object({
  ...{ service: Text, ...state, health_check_at: Time, last_sync: Nullable(Time), next_sync: Nullable(Time) },
  metrics: Type.Object({
    total_syncs: Type.Integer({ description: 'The latest sync events, ten at most; so are the next two.' }),
    success_rate: Percent,
    average_duration: Milliseconds,
    active_errors: Count,
  }),
  alerts: Alerts,
  organizations: Type.Array(Type.Object({ organization_id: Text, last_successful_sync: Nullable(Time), ...state })),
  freshness: Type.Array(
    Type.Object({
      ...{ organization_id: Text, module: Text },
      pulled_until: Nullable({ ...Time, description: 'Every change before this has been pulled.' }),
      age_seconds: Nullable(Type.Number()),
      last_event_hour: Nullable({ ...Time, description: 'The last hour of a week in which an event arrived.' }),
    }),
  ),
});

const rates = { total_syncs: Count, success_rate: Percent, error_rate: Percent, average_duration: Duration };
const sums = {
  ...{ successful_syncs: Count, failed_syncs: Count, duration_ms: Type.Number(), items_synced: Count },
  ...{ received: Count, rejected: Count, dead: Count, runs: Count, records_pulled: Count, pages_pulled: Count },
  ...rates,
};

export const SyncMetrics = Type.Object({
  period: Type.String({ enum: [...PERIODS] }),
  metrics: Type.Array(Type.Object({ time: Time, ...sums }), { description: 'The current period first.' }),
  summary: Type.Object(sums),
});

export const SyncTimeline = Type.Object({
  period: Type.String({ examples: ['Last 24 hours'] }),
  ...{ total_syncs: Count, successful_syncs: Count, failed_syncs: Count },
  timeline: Type.Array(
    Type.Object({
      ...{ hour: Time, total: Count, successful: Count, failed: Count, items: Count, average_duration: Duration },
    }),
    { description: 'The current hour first.' },
  ),
});

export const SyncErrors = Type.Object({
  total: Type.Integer({ description: 'Errors in this answer.' }),
  unresolved: Type.Integer({
    description:
      'Altogether: runs that failed or try an activity again, events that wait for an attempt, open dead letters.',
  }),
  by_type: Type.Record(Type.String(), Type.Integer(), { description: 'Those in this answer.' }),
  errors: Type.Array(
    Type.Object({
      id: { ...Uuid, description: 'Of the workflow, or of the event.' },
      kind: Type.String({ enum: ['run', 'event'] }),
      ...{ service: Text, organization_id: Text, name: Text, sync_type: Type_ },
      ...{ error_type: Text, error_message: Text },
      error_details: Type.Unknown({
        description: 'causes, response_status and stack; of a run also its activity, of an event its handler.',
      }),
      retry_count: Count,
      next_retry_at: Nullable(Time),
      next_retry_in: Nullable(Type.String({ examples: ['12 s'] })),
      created_at: Time,
      time_ago: Type.String({ examples: ['5 min ago'] }),
      resolved_at: Nullable(Time),
    }),
  ),
});

export const SyncErrorResolved = Type.Object({ success: Type.Literal(true), error_id: Uuid });

export const SyncOverview = Type.Object({
  overview: Type.Object({
    ...{ status: Status, last_sync: Nullable(Time) },
    uptime: Nullable(
      Type.String({
        description:
          'Share of the last 24 hours, in percent: of those in which anything was tried, those in which something succeeded.',
      }),
    ),
    items_in_database: Count,
    items_are_estimated: Type.Boolean({ description: 'Beyond 100,000 records.' }),
  }),
  performance: Type.Object({
    ...{ last_sync_duration: Duration, average_sync_time: Duration, sync_frequency: Text, success_rate: Percent },
  }),
  health: Type.Object({
    ...{ is_healthy: Type.Boolean(), consecutive_failures: Type.Integer(), active_errors: Count, alerts: Alerts },
  }),
  recent_activity: SyncEvents,
});

const durations = {
  min: Milliseconds,
  max: Milliseconds,
  average: Milliseconds,
  median: Milliseconds,
  p95: Milliseconds,
};
const Items = Type.Object({ total: Count, average: Nullable(Type.Number()) });
const compared = {
  received: Count,
  successful_syncs: Count,
  failed_syncs: Count,
  dead: Count,
  records_pulled: Count,
  ...rates,
};
const lastWeek = { description: 'Attempts at events of the last seven days.' };

export const SyncPerformance = Type.Object({
  sample_size: Type.Integer({ description: 'Successful runs among the latest hundred that ended.' }),
  performance: Type.Object(durations),
  items_processed: Items,
  performance_by_type: Type.Record(
    Type.String(),
    Type.Object({ sample_size: Count, ...durations, items_processed: Items }),
  ),
  is_degraded: Type.Boolean({ description: 'Something takes half as long again as in the week before.' }),
  degradation: Type.Array(
    Type.Object({
      sync_type: Type.String({ description: 'A type of run (medians), or event: attempts (averages).' }),
      ...{ sample_size: Count, sample_size_before: Count, duration_ms: Milliseconds, duration_ms_before: Milliseconds },
      ratio: Nullable(Type.Number()),
      is_slower: Nullable(Type.Boolean({ description: 'null: too few to say.' })),
    }),
  ),
  by_organization: Type.Array(Type.Object({ organization_id: Text, ...compared }), lastWeek),
  by_module: Type.Array(Type.Object({ module: Text, ...compared }), lastWeek),
});
