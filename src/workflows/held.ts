import type { Json, Progress } from './workflow.ts';

/** A run in the hands of a worker: what it needs to go on, and the lease without which it can write nothing. */
export type HeldRun = {
  id: string;
  name: string;
  organizationId: string;
  payload: Json;
  progress: Progress;
  workerId: string;
  lease: string;
};

export const NO_PROGRESS: Progress = { module: null, records: 0, records_total: null, pages: 0, calls: 0 };

/** Wakes the workers' loops for runs when the transaction commits. They listen to it beside `tds_queue`. */
export const WORKFLOWS_CHANNEL = 'tds_workflows';
