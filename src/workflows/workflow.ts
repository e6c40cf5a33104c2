/** The vocabulary of durable workflows: what a definition gives, and what a run offers to it. */
import type { Transaction } from 'kysely';
import type { ClientBase } from 'pg';
import type { TSchema } from 'typebox';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
import { TaggedError } from '../errors.ts';
import type { Logger } from '../log.ts';

/** What can be stored as JSON and read back the same. */
export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** How far a run is; stored with every activity. Numbers count records, pages and calls of Zoho's API. */
export type Progress = {
  module: string | null;
  records: number;
  /** Null while nobody has said how many there are. */
  records_total: number | null;
  pages: number;
  calls: number;
};

/**
 * One step of a run. It is done once: a run that resumes reads its output instead of doing it again. An output is a
 * checkpoint, not the data: at most 1 MB of JSON.
 */
export type Activity<Fetched, Output extends Json> = {
  /** The part that may take long and may be repeated, such as calls of Zoho. Runs outside of any transaction. */
  fetch(attempt: number): Promise<Fetched>;
  /**
   * What follows from it: commits together with the output and the progress, or not at all when the lease is lost or
   * the run was paused or terminated. `client` is that of the same transaction, for functions that take one (enqueue).
   */
  write(trx: Transaction<Schema>, fetched: Fetched, client: ClientBase): Promise<Output>;
};

/** A run as its definition sees it. */
export type Run<Payload = Json> = {
  id: string;
  name: string;
  organizationId: string;
  /** As it was started with, `organization_id` included. */
  payload: Payload;
  /** The workflows' own pool. */
  db: Database;
  /** Carries workflow_name and workflow_id in every line; inside an activity also activity_name. */
  log: Logger;
  /** Aborted when the run is paused or terminated, the lease is lost or the worker stops. */
  signal: AbortSignal;
  /** Change it in place, within `fetch` or `write`: an attempt that fails leaves it as it was before. */
  progress: Progress;
  /**
   * Does the activity, or returns the output of the one that was completed under this name before. One at a time; names
   * are unique within a run (`invoice page 7`). What fails is tried again after 1, 2, 4, 8 and 16 s unless it is
   * permanent; a RateLimitError postpones the run. Throws what `fetch` or `write` threw after its last attempt; what it
   * throws when the run has to stop (`isStop`) must not be swallowed.
   */
  activity<Fetched, Output extends Json>(name: string, steps: Activity<Fetched, Output>): Promise<Output>;
};

/** What a run would do, answered by `?dry_run=true`. `days`: at today's remaining quota. */
export type Plan = { records: number | null; calls: number | null; days: number | null; modules: Json };

export type WorkflowDefinition<Payload = Json> = {
  name: string;
  /** Checked before a run is stored; `organization_id` is always allowed and filled in by the engine. */
  payload: TSchema;
  plan(organizationId: string, payload: Payload, signal: AbortSignal): Promise<Plan>;
  /** Resolves with the run's result, at most 1 MB. Between activities it must always do the same. */
  run(run: Run<Payload>): Promise<Json>;
  /** What an operator's approval of a completed run starts; null when it has withheld nothing. */
  approve?(completed: CompletedRun): { name: string; payload: Json } | null;
};

/** A run that has completed, as its definition sees it when an operator approves what it withheld. */
export type CompletedRun = { id: string; organizationId: string; payload: Json; result: Json };

/**
 * Thrown inside a run that has to wait for something which is nobody's fault (the quota, an API that is away): the run
 * is given back, costs no attempt, and goes on after `seconds`. `reason` is a sentence that operators read.
 */
export class Postponed extends Error {
  override name = 'Postponed';
  readonly seconds: number;

  constructor(seconds: number, reason: string) {
    super(reason);
    this.seconds = seconds;
  }
}

/**
 * Thrown by a definition whose run fails for what activities have found that were completed, such as a refusal that other
 * activities outlive. They are `failed` then, and a retry does them again.
 */
export class ActivitiesFailed extends TaggedError {
  readonly activities: readonly string[];

  constructor(message: string, { activities, cause }: { activities: readonly string[]; cause: unknown }) {
    super('ValidationError', message, { cause });
    this.activities = activities;
  }
}

/** Thrown inside a run that has to stop here: an operator's doing, or the worker's. It goes on later, or never. */
export class Stopped extends Error {
  override name = 'Stopped';
  readonly why: StopReason;

  constructor(why: StopReason) {
    super(STOP_REASONS[why]);
    this.why = why;
  }
}

const STOP_REASONS = {
  paused: 'the run was paused',
  terminated: 'the run was terminated',
  lease_lost: 'the run is no longer in the hands of this worker',
  shutdown: 'the worker is stopping',
  queue_paused: 'processing is paused for all workers',
  others_wait: 'other runs wait for a worker',
} as const;
export type StopReason = keyof typeof STOP_REASONS;

/** True for what a run throws to be given back: definitions that catch errors pass these on. */
export function isStop(error: unknown): error is Stopped | Postponed {
  return error instanceof Stopped || error instanceof Postponed;
}
