import type { AccessTables } from './schema/access.ts';
import type { AlertTables } from './schema/alerts.ts';
import type { CompletenessTables } from './schema/completeness.ts';
import type { CounterTables } from './schema/counters.ts';
import type { FailureTables } from './schema/failures.ts';
import type { FieldTables } from './schema/fields.ts';
import type { HistoryTables } from './schema/history.ts';
import type { InterventionTables } from './schema/interventions.ts';
import type { MetricsTables } from './schema/metrics.ts';
import type { MirrorTables } from './schema/mirror.ts';
import type { MonitorTables } from './schema/monitor.ts';
import type { PullTables } from './schema/pull.ts';
import type { QueueTables } from './schema/queue.ts';
import type { RefetchTables } from './schema/refetches.ts';
import type { RejectionTables } from './schema/rejections.ts';
import type { WorkflowTables } from './schema/workflows.ts';
import type { ZohoTables } from './schema/zoho.ts';

export type * from './schema/access.ts';
export type * from './schema/alerts.ts';
export type * from './schema/completeness.ts';
export type * from './schema/counters.ts';
export type * from './schema/failures.ts';
export type * from './schema/fields.ts';
export type * from './schema/history.ts';
export type * from './schema/interventions.ts';
export type * from './schema/metrics.ts';
export type * from './schema/mirror.ts';
export type * from './schema/monitor.ts';
export type * from './schema/pull.ts';
export type * from './schema/queue.ts';
export type * from './schema/refetches.ts';
export type * from './schema/rejections.ts';
export type * from './schema/workflows.ts';
export type * from './schema/zoho.ts';

/** The tables as Kysely sees them. Ids and 64-bit numbers are strings (pg), times are Dates, json stays JSON text. */
export type Schema = AccessTables &
  AlertTables &
  CompletenessTables &
  CounterTables &
  FailureTables &
  FieldTables &
  HistoryTables &
  InterventionTables &
  MetricsTables &
  MirrorTables &
  MonitorTables &
  PullTables &
  QueueTables &
  RefetchTables &
  RejectionTables &
  WorkflowTables &
  ZohoTables;
