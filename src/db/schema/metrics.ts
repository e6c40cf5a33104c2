import type { Generated } from 'kysely';
import type { GeneratedTimestamp, OptionalTimestamp, Timestamp } from './columns.ts';

/** What happened, added up per period. Written by triggers and tds_metrics_fold only. */
export type MetricsTables = {
  tds_metrics_periods: MetricsPeriods;
  tds_metrics_state: MetricsState;
  tds_sync_resolutions: SyncResolutions;
};

export type MetricsPeriods = {
  period: 'hour' | 'day' | 'week';
  starts_at: Timestamp;
  organization_id: string;
  source: string;
  event_type: string;
  received: string;
  rejected: string;
  completed: string;
  failed: string;
  dead: string;
  run_us: string;
  wait_us: string;
  pulled_pages: string;
  pulled_records: string;
  run: string[];
  wait: string[];
};

export type MetricsState = {
  singleton: Generated<boolean>;
  frozen_until: Generated<Date>;
  checked_at: OptionalTimestamp;
  drift: string | null;
};

export type SyncResolutions = {
  workflow_id: string;
  resolved_at: GeneratedTimestamp;
  resolved_by: string;
};
