import type { ColumnType, GeneratedAlways } from 'kysely';
import type { Bigint, Json, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Failed attempts and their causes. */
export type FailureTables = {
  tds_failures: Failures;
  tds_failure_changes: FailureChanges;
  tds_failure_groups: FailureGroups;
  tds_failure_hours: FailureHours;
};

export type Failures = {
  event_id: string;
  created_at: Timestamp;
  fingerprint: string;
  attempt: number;
  status: 'retry' | 'dead_letter' | 'crashed';
  organization_id: string;
  event_type: string;
  entity_id: Optional<string>;
  entity_key: Bigint;
  worker_id: string;
  handler: Optional<string>;
  error_tag: string;
  message: string;
  http_status: Optional<number>;
  stack: Optional<string>;
  causes: Json;
};

export type FailureChanges = {
  fingerprint: string;
  error_tag: string;
  message: string;
  place: string;
  handler: Optional<string>;
  failures: Bigint;
  seen_at: Timestamp;
};

/** Follows from the times of the row. */
export type FailureGroupState = 'open' | 'resolved' | 'ignored' | 'reopened';

export type FailureGroups = {
  fingerprint: string;
  error_tag: string;
  message: string;
  place: string;
  handler: Optional<string>;
  failures: ColumnType<string, string | number, string | number>;
  first_seen_at: Timestamp;
  last_seen_at: Timestamp;
  resolved_at: OptionalTimestamp;
  resolved_by: Optional<string>;
  ignored_at: OptionalTimestamp;
  ignored_by: Optional<string>;
  ignore_reason: Optional<string>;
  reported_at: OptionalTimestamp;
  state: GeneratedAlways<FailureGroupState>;
};

export type FailureHours = {
  fingerprint: string;
  hour: Timestamp;
  failures: Bigint;
};
