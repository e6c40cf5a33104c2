import type { Generated, GeneratedAlways } from 'kysely';
import type { GeneratedTimestamp, Json, Optional, Timestamp } from './columns.ts';

/** What is counted and audited. */
export type MonitorTables = {
  tds_processing_totals: ProcessingTotals;
  tds_audit_log: AuditLog;
  tds_audit_head: AuditHead;
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

export type AuditLog = {
  id: Generated<string>;
  created_at: GeneratedTimestamp;
  operator: string;
  action: string;
  target: Optional<string>;
  result: string;
  request_id: Optional<string>;
  detail: Json;
  before: Json;
  after: Json;
  reason: GeneratedAlways<string | null>;
  hash: GeneratedAlways<Buffer>;
};

export type AuditHead = {
  singleton: Generated<boolean>;
  last_id: Generated<string>;
  hash: Generated<Buffer>;
  archived_id: Generated<string>;
  archived_hash: Generated<Buffer>;
};
