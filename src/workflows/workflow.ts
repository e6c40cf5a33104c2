/** The vocabulary of durable workflows: what a definition gives, and what a run offers to it. */
import type { Transaction } from 'kysely';
import type { TSchema } from 'typebox';
import type { Database } from '../db/database.ts';
import type { Schema } from '../db/schema.ts';
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

/** One step of a run. It is done once: a run that resumes reads its output instead of doing it again. */
export type Activity<Fetched, Output extends Json> = {
  /** The part that may take long and may be repeated, such as calls of Zoho. Runs outside of any transaction. */
  fetch(attempt: number): Promise<Fetched>;
  /** What follows from it: commits together with the output and the progress, or not at all when the lease is lost. */
  write(trx: Transaction<Schema>, fetched: Fetched): Promise<Output>;
};

/** A run as its definition sees it. */
export type Run<Payload = Json> = {
  id: string;
  name: string;
  organizationId: string;
  payload: Payload;
  db: Database;
  /** Carries workflow_name and workflow_id in every line; inside an activity also activity_name. */
  log: Logger;
  /** Aborted when the run is paused or terminated, the lease is lost or the worker stops. */
  signal: AbortSignal;
  progress: Progress;
  /** Names are unique within a run (`invoice page 7`). Throws what `fetch` or `write` threw after its last attempt. */
  activity<Fetched, Output extends Json>(name: string, steps: Activity<Fetched, Output>): Promise<Output>;
};

/** What a run would do, answered by `?dry_run=true`. `days`: at today's remaining quota. */
export type Plan = { records: number | null; calls: number | null; days: number | null; modules: Json };

export type WorkflowDefinition<Payload = Json> = {
  name: string;
  /** Checked before a run is stored; `organization_id` is always allowed and filled in by the engine. */
  payload: TSchema;
  plan(organizationId: string, payload: Payload, signal: AbortSignal): Promise<Plan>;
  /** Resolves with the run's result. */
  run(run: Run<Payload>): Promise<Json>;
};

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
