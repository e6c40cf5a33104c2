import type { Generated } from 'kysely';
import type { WorkflowStatus } from '../../workflows/state.ts';
import type { GeneratedTimestamp, Json, Optional, OptionalTimestamp, Timestamp } from './columns.ts';

/** Durable workflows, their activities and their history. */
export type WorkflowTables = {
  tds_workflows: Workflows;
  tds_workflow_activities: WorkflowActivities;
  tds_workflow_logs: WorkflowLogs;
};

export type ActivityStatus = 'running' | 'retry' | 'interrupted' | 'completed' | 'failed';

export type Workflows = {
  id: Generated<string>;
  name: string;
  organization_id: string;
  status: Generated<WorkflowStatus>;
  payload: Json;
  result: Json;
  progress: Json;
  started_by: string;
  run_at: GeneratedTimestamp;
  waits_for: Optional<string>;
  crash_count: Generated<number>;
  lease: Optional<string>;
  worker_id: Optional<string>;
  claimed_at: OptionalTimestamp;
  approved_as: Optional<string>;
  created_at: GeneratedTimestamp;
  updated_at: GeneratedTimestamp;
  last_failed_at: OptionalTimestamp;
  last_failure: Json;
};

export type WorkflowActivities = {
  workflow_id: string;
  name: string;
  position: number;
  status: ActivityStatus;
  attempt: number;
  started_at: Timestamp;
  completed_at: OptionalTimestamp;
  output: Json;
  error: Json;
  next_attempt_at: OptionalTimestamp;
};

export type WorkflowLogs = {
  id: Generated<string>;
  workflow_id: string;
  created_at: GeneratedTimestamp;
  activity_name: Optional<string>;
  message: string;
  error_tag: Optional<string>;
  worker_id: Optional<string>;
};
