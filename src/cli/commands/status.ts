import type { Command } from '../command.ts';

export type Metrics = {
  queue: {
    by_status: Record<'pending' | 'processing' | 'retry' | 'completed' | 'dead_letter', number>;
    oldest_pending_age_seconds: number;
    dead_letter_count: number;
    pause: Pause;
  };
  processing: { last_hour: { total_processed: number; success_rate_percent: number; avg_duration_seconds: number } };
  workers: { alive: number; in_flight: number };
  active_alerts: Alert[];
  acknowledged_alerts: Alert[];
};

export type Pause = {
  paused: boolean;
  paused_by: string | null;
  reason: string | null;
  event_types: { event_type: string; paused_by: string; reason: string }[];
};

/** Who paused what, and why; none when nothing is paused. */
export function pauseWords({ paused, paused_by, reason, event_types }: Pause): string[] {
  return [
    ...(paused ? [`paused by ${paused_by}: ${reason}`] : []),
    ...event_types.map((type) => `${type.event_type} paused by ${type.paused_by}: ${type.reason}`),
  ];
}

export type Alert = {
  id: string;
  severity: string;
  title: string;
  message: string;
  fired_at: string;
  acknowledged_by: string | null;
};

export const statusCommand: Command = {
  name: 'status',
  summary: 'Everything at a glance: queue, success rate, workers, alerts',
  examples: ['tds status', 'tds status --watch 5', 'tds status -o json'],
  reads: true,
  async run({ api }) {
    const metrics = (await (await api()).get('/dashboard/metrics')) as Metrics;
    const { queue, processing, workers } = metrics;
    const { by_status, pause } = queue;
    const row = {
      ...by_status,
      oldest_pending_seconds: Math.round(queue.oldest_pending_age_seconds),
      paused: pauseWords(pause).join('; ') || 'no',
      workers: workers.alive,
      attempts_last_hour: processing.last_hour.total_processed,
      success_rate_percent: processing.last_hour.success_rate_percent,
      avg_duration_seconds: processing.last_hour.avg_duration_seconds,
      alerts: metrics.active_alerts.map(({ title }) => title).join('; ') || 'none',
    };
    return { data: metrics, rows: [row] };
  },
};
