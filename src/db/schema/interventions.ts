import type { Generated } from 'kysely';
import type { GeneratedTimestamp, Json, Optional, OptionalTimestamp } from './columns.ts';

/** Bulk retries and edits of dead letters. */
export type InterventionTables = {
  tds_event_edits: EventEdits;
  tds_retry_runs: RetryRuns;
  tds_retry_run_events: RetryRunEvents;
};

export type RetryRuns = {
  id: Generated<string>;
  created_at: GeneratedTimestamp;
  created_by: string;
  reason: Optional<string>;
  selection: Json;
  status: Generated<'running' | 'paused' | 'stopped' | 'cancelled' | 'completed'>;
  status_reason: Optional<string>;
  rate_per_second: number;
  max_failure_percent: number;
  total: number;
  allowance_at: GeneratedTimestamp;
  ended_at: OptionalTimestamp;
};

export type RetryRunEvents = {
  run_id: string;
  event_id: string;
  place: number;
  state: Generated<'waiting' | 'retried' | 'completed' | 'failed' | 'skipped'>;
  ended_at: OptionalTimestamp;
};

export type EventEdits = {
  event_id: string;
  original_id: string;
  created_at: GeneratedTimestamp;
  author: string;
  reason: string;
  difference: Json;
};
