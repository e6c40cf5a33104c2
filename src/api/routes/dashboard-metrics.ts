import { Type } from 'typebox';
import type { FiringAlert } from '../../monitor/alerts/firing.ts';
import { readMetrics } from '../../monitor/metrics.ts';
import { queueStats } from '../../queue/inspect.ts';
import type { Api, Deps } from '../deps.ts';
import { Nullable, Pause, Time, Uuid } from '../schemas.ts';

const Count = Type.Integer({ minimum: 0, examples: [25] });

const BY_STATUS = { pending: Count, processing: Count, retry: Count, completed: Count, dead_letter: Count };

const Alert = Type.Object({
  id: Uuid,
  rule: Type.String({ examples: ['queue_backlog_warning'] }),
  title: Type.String({ examples: ['Queue Backlog Warning'] }),
  severity: Type.Union([Type.Literal('critical'), Type.Literal('warning'), Type.Literal('info')]),
  message: Type.String({ description: 'What is wrong and what to do.' }),
  value: Nullable(Type.Number()),
  threshold: Nullable(Type.Number()),
  fired_at: Time,
  last_seen_at: Time,
  acknowledged_at: Nullable(Time),
  acknowledged_by: Nullable(Type.String()),
  acknowledgement_note: Nullable(Type.String()),
  labels: Type.Record(Type.String(), Type.String(), { examples: [{ error_tag: 'ConflictError' }] }),
  likely_cause: Type.String(),
  runbook_step: Type.String(),
  runbook: Type.String({
    description: 'Where to read on, below RUNBOOK_URL.',
    examples: ['docs/runbook.md#no_worker'],
  }),
});

const KeyMetric = Type.Object({
  metric: Type.String({ examples: ['pending'] }),
  value: Type.Number(),
  band: Type.Union([Type.Literal('normal'), Type.Literal('warning'), Type.Literal('critical')]),
  warning: Nullable(Type.Number({ description: 'Where the band begins.' })),
  critical: Nullable(Type.Number({ description: 'Beyond this it is critical.' })),
});

const SUCCESS_RATE =
  'Share of the attempts of the last hour that succeeded. An event that fails twice and then succeeds counts three ' +
  'times; an event that was given back without being charged (rate limit, shutdown, outage) does not count. ' +
  '100 when there was no attempt.';

const Metrics = Type.Object({
  timestamp: Time,
  queue: Type.Object({
    by_status: Type.Object(BY_STATUS),
    oldest_pending_age_seconds: Type.Number({ description: '0 when nothing is pending.', examples: [120.5] }),
    dead_letter_count: Count,
    pause: Pause,
  }),
  processing: Type.Object({
    last_hour: Type.Object({
      total_processed: Type.Integer({ description: 'Attempts: succeeded and failed ones.', examples: [1250] }),
      succeeded: Type.Integer({ description: 'Attempts that completed their event.', examples: [1235] }),
      failed: Type.Integer({
        description: 'Attempts that were charged and failed: retry, dead letter, or a worker that died of them.',
        examples: [15],
      }),
      success_rate_percent: Type.Number({ description: SUCCESS_RATE, examples: [98.8] }),
      avg_duration_seconds: Type.Number({ description: 'Of these attempts.', examples: [2.34] }),
    }),
  }),
  workers: Type.Object({
    alive: Type.Integer({ description: 'Workers whose lease has not run out.', examples: [1] }),
    oldest_heartbeat_age_seconds: Nullable(
      Type.Number({
        description: 'Of the living worker that has been silent for longest; null when none lives.',
        examples: [4.2],
      }),
    ),
    in_flight: Type.Integer({ description: 'Events in hand, as of the last heartbeats.', examples: [5] }),
  }),
  database: Type.Object({
    table_sizes: Type.Array(
      Type.Object({
        table_name: Type.String({ examples: ['tds_sync_queue'] }),
        total_bytes: Type.Integer({ examples: [81920] }),
        size: Type.String({ examples: ['80 kB'] }),
      }),
    ),
    active_connections: Count,
  }),
  key_metrics: Type.Array(KeyMetric, { description: "The operations guide's key metrics and the band each is in." }),
  active_alerts: Type.Array(Alert, { description: 'Firing, not acknowledged.' }),
  acknowledged_alerts: Type.Array(Alert, { description: 'Firing, acknowledged.' }),
});

const QueueStats = Type.Object({ ...BY_STATUS, total: Count });

/** The numbers: cheap at any size of the queue, so they may be asked for every few seconds. */
export function metricsRoutes(api: Api, { db, config: { keyMetricBands, runbookUrl } }: Deps): void {
  const config = { role: 'viewer' } as const;
  const tags = ['dashboard'];

  api.get(
    '/dashboard/metrics',
    { config, schema: { tags, summary: 'Health of the whole system at a glance', response: { 200: Metrics } } },
    async () => {
      const metrics = await readMetrics(db, keyMetricBands);
      const linked = (alerts: FiringAlert[]) =>
        alerts.map((alert) => ({ ...alert, runbook: `${runbookUrl}#${alert.rule}` }));
      const { active_alerts, acknowledged_alerts } = metrics;
      return { ...metrics, active_alerts: linked(active_alerts), acknowledged_alerts: linked(acknowledged_alerts) };
    },
  );

  api.get(
    '/dashboard/queue-stats',
    { config, schema: { tags, summary: 'How many events stand in each status', response: { 200: QueueStats } } },
    async () => queueStats(db),
  );
}
