import type { ColumnType, Generated } from 'kysely';
import type { GeneratedTimestamp, Optional } from './columns.ts';

/** What is counted for Prometheus. */
export type CounterTables = {
  tds_counters: Counters;
  tds_processes: Processes;
  tds_attempt_counts: AttemptCounts;
};

export type Counters = {
  name: string;
  labels: ColumnType<Record<string, string>, string | undefined, string>;
  value: Generated<number>;
};

export type Processes = {
  process_id: string;
  service: 'tds-core-api' | 'tds-core-worker';
  version: string;
  started_at: GeneratedTimestamp;
  seen_at: GeneratedTimestamp;
  batch: string;
  event_loop_lag_seconds: number;
  resident_bytes: string;
};

export type AttemptCounts = {
  status: string;
  error_tag: Optional<string>;
  le_ms: number;
  attempts: string;
  retries: string;
  stale: string;
  duration_ms: number;
};
