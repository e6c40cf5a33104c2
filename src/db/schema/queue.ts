import type { ColumnType, Generated } from 'kysely';
import type { LogStatus, Status } from '../../queue/vocabulary.ts';
import type { Bigint, GeneratedTimestamp, Json, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** What was received, what waits, who works on it, and what became of it. */
export type QueueTables = {
  tds_inbox_events: InboxEvents;
  tds_inbox_payloads: InboxPayloads;
  tds_sync_queue: SyncQueue;
  tds_queue_waiting: QueueWaiting;
  tds_queue_claims: QueueClaims;
  tds_queue_leases: QueueLeases;
  tds_queue_counts: QueueCounts;
  tds_queue_state: QueueState;
  tds_event_type_pauses: EventTypePauses;
  tds_workers: Workers;
  tds_sync_logs: SyncLogs;
  tds_dead_letter_queue: DeadLetterQueue;
};

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
  came_by: Optional<'pull' | 'operator'>;
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
  traceparent: Optional<string>;
};

export type SyncQueue = {
  id: string;
  arrival: Generated<string>;
  entity_key: Bigint;
  queued_at: GeneratedTimestamp;
  /** When it last went back to `pending` after it had ended; kept by a trigger. */
  requeued_at: OptionalTimestamp;
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
  entity_key: Bigint;
  arrival: Bigint;
  id: string;
  priority: number;
  release_count: Generated<number>;
  run_at: Timestamp;
  payload_bytes: number;
  status: Status;
  due: boolean;
  suspect: boolean;
  held: Generated<boolean>;
};

export type QueueClaims = {
  entity_key: Bigint;
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
  settling_entity: Optional<string>;
  settling_arrival: Optional<string>;
};

export type EventTypePauses = {
  event_type: string;
  paused_at: GeneratedTimestamp;
  paused_by: string;
  reason: string;
  settled: Generated<boolean>;
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
  drained_at: OptionalTimestamp;
  drained_by: Optional<string>;
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
  waited_ms: Optional<number>;
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
  queued_at: GeneratedTimestamp;
  cause_key: Generated<string>;
  cause_message: Generated<string>;
  retry_count: Generated<number>;
  last_retry_at: OptionalTimestamp;
  quarantined_by: Optional<string>;
  resolved_at: OptionalTimestamp;
  discarded_at: OptionalTimestamp;
  discarded_by: Optional<string>;
  discard_reason: Optional<string>;
  discarded_event: Json;
};
