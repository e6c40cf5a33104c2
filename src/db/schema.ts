import type { ColumnType, Generated } from 'kysely';
import type { LogStatus, Status } from '../queue/vocabulary.ts';

/** The tables as Kysely sees them. Ids and 64-bit numbers are strings (pg), times are Dates, json stays JSON text. */
export type Schema = {
  tds_inbox_events: InboxEvents;
  tds_inbox_payloads: InboxPayloads;
  tds_sync_queue: SyncQueue;
  tds_queue_waiting: QueueWaiting;
  tds_queue_claims: QueueClaims;
  tds_queue_leases: QueueLeases;
  tds_queue_counts: QueueCounts;
  tds_queue_state: QueueState;
  tds_workers: Workers;
  tds_sync_logs: SyncLogs;
  tds_processing_totals: ProcessingTotals;
  tds_dead_letter_queue: DeadLetterQueue;
  tds_alerts: Alerts;
  tds_audit_log: AuditLog;
  books_records: BooksRecords;
  tds_zoho_tokens: ZohoTokens;
  tds_zoho_quota: ZohoQuota;
  tds_zoho_calls: ZohoCalls;
};

/** Written as JSON text, read back parsed (digits beyond 2^53 are lost: select `payload::text` where they matter). */
type Json = ColumnType<unknown, string | null, string | null>;
type Timestamp = ColumnType<Date, Date | string, Date | string>;
type GeneratedTimestamp = ColumnType<Date, Date | string | undefined, Date | string>;
type OptionalTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
type Optional<T> = ColumnType<T | null, T | null | undefined, T | null>;
type BigInt = ColumnType<string, string | number | bigint, string | number | bigint>;

export type InboxEvents = {
  event_id: string;
  dedupe_key: Optional<string>;
  received_at: GeneratedTimestamp;
  processed_at: OptionalTimestamp;
  processed: Generated<boolean>;
  organization_id: string;
  module: Optional<string>;
  action: Optional<string>;
  entity_id: Optional<string>;
  event_type: string;
  quarantine_reason: Optional<string>;
};

export type InboxPayloads = {
  event_id: string;
  version: OptionalTimestamp;
  source: 'webhook' | 'pull' | 'operator';
  payload: Json;
  raw_body: Optional<Buffer>;
  ip: Optional<string>;
  user_agent: Optional<string>;
  request: ColumnType<Record<string, string> | null, string | null | undefined, string | null>;
};

export type SyncQueue = {
  id: string;
  arrival: Generated<string>;
  entity_key: BigInt;
  queued_at: GeneratedTimestamp;
  run_at: GeneratedTimestamp;
  priority: Generated<number>;
  payload_bytes: Generated<number>;
  versioned: Generated<boolean>;
  organization_id: string;
  event_type: string;
  entity_id: Optional<string>;
  suspect: Generated<boolean>;
  attempt_count: Generated<number>;
  release_count: Generated<number>;
  status: Generated<Status>;
  lease: Optional<string>;
  started_at: OptionalTimestamp;
  completed_at: OptionalTimestamp;
  outcome: Optional<string>;
  error_tag: Optional<string>;
  error_message: Optional<string>;
};

export type QueueWaiting = {
  entity_key: BigInt;
  arrival: BigInt;
  id: string;
  priority: number;
  release_count: Generated<number>;
  run_at: Timestamp;
  payload_bytes: number;
  status: Status;
  due: boolean;
  suspect: boolean;
};

export type QueueClaims = {
  entity_key: BigInt;
  lease: string;
  ids: Optional<string[]>;
};

export type QueueLeases = {
  lease: string;
  worker_id: string;
  claimed_at: GeneratedTimestamp;
  ids: string[];
};

export type QueueCounts = Record<Status, Generated<string>>;

export type QueueState = {
  singleton: Generated<boolean>;
  paused: Generated<boolean>;
  paused_at: OptionalTimestamp;
  paused_by: Optional<string>;
  reason: Optional<string>;
};

export type Workers = {
  worker_id: string;
  host: string;
  pid: number;
  version: Generated<string>;
  started_at: GeneratedTimestamp;
  heartbeat_at: GeneratedTimestamp;
  expires_at: Timestamp;
  ended_at: OptionalTimestamp;
  culprit: Optional<string>;
  concurrency: number;
  in_flight: Generated<number>;
  draining: Generated<boolean>;
};

export type SyncLogs = {
  queue_id: string;
  worker_id: Optional<string>;
  created_at: GeneratedTimestamp;
  duration_ms: Optional<number>;
  attempt: number;
  status: LogStatus;
  outcome: Optional<string>;
  error_tag: Optional<string>;
  error_message: Optional<string>;
};

export type ProcessingTotals = {
  bucket: Timestamp;
  arrived: Generated<string>;
  succeeded: Generated<string>;
  failed: Generated<string>;
  released: Generated<string>;
  first_attempts: Generated<string>;
  first_failures: Generated<string>;
  duration_ms: Generated<number>;
};

export type DeadLetterQueue = {
  id: string;
  original_queue_id: Generated<string>;
  organization_id: string;
  event_type: string;
  entity_id: Optional<string>;
  kind: 'failed' | 'quarantined';
  payload: Json;
  raw_body: Optional<Buffer>;
  attempt_count: number;
  error_tag: string;
  last_error: string;
  moved_to_dlq_at: GeneratedTimestamp;
  retry_count: Generated<number>;
  last_retry_at: OptionalTimestamp;
  resolved_at: OptionalTimestamp;
};

export type Alerts = {
  id: Generated<string>;
  rule: string;
  title: string;
  severity: 'critical' | 'warning' | 'info';
  message: string;
  value: Optional<number>;
  threshold: Optional<number>;
  fired_at: GeneratedTimestamp;
  last_seen_at: GeneratedTimestamp;
  acknowledged_at: OptionalTimestamp;
  acknowledged_by: Optional<string>;
  resolved_at: OptionalTimestamp;
};

export type AuditLog = {
  id: Generated<string>;
  created_at: GeneratedTimestamp;
  operator: string;
  action: string;
  target: Optional<string>;
  result: string;
  request_id: Optional<string>;
  detail: Json;
};

export type BooksRecords = {
  organization_id: string;
  module: string;
  entity_id: string;
  version: OptionalTimestamp;
  received_at: GeneratedTimestamp;
  deleted_at: OptionalTimestamp;
  stale_since: OptionalTimestamp;
  complete: Generated<boolean>;
  record: Json;
  event_id: Optional<string>;
  source: string;
  updated_at: GeneratedTimestamp;
};

export type ZohoTokens = {
  credential: string;
  organizations: Generated<string[]>;
  access_token: Optional<Buffer>;
  api_domain: Optional<string>;
  generation: Generated<string>;
  refreshed_at: OptionalTimestamp;
  expires_at: OptionalTimestamp;
  refresh_lease: Optional<string>;
  refresh_lease_until: OptionalTimestamp;
  token_calls: Generated<Date[]>;
  try_again_at: OptionalTimestamp;
  failure: Optional<string>;
  failed_at: OptionalTimestamp;
  refused_at: OptionalTimestamp;
};

export type ZohoQuota = {
  organization_id: string;
  day_limit: Optional<number>;
  day_remaining: Optional<number>;
  measured_at: OptionalTimestamp;
  day_resets_at: OptionalTimestamp;
  our_calls: Generated<number>;
  our_calls_since: GeneratedTimestamp;
  paused_until: OptionalTimestamp;
  pause_code: Optional<number>;
  pause_reason: Optional<string>;
  in_flight_limit: Optional<number>;
  in_flight_lowered_at: OptionalTimestamp;
  failures: Generated<number>;
  refetch_waits_until: OptionalTimestamp;
  time_zone: Optional<string>;
};

export type ZohoCalls = {
  id: Generated<string>;
  organization_id: string;
  lane: 'refetch' | 'backfill';
  started_at: GeneratedTimestamp;
  expires_at: Timestamp;
  ended_at: OptionalTimestamp;
};
