import { setTimeout as sleep } from 'node:timers/promises';
import type { Pool } from 'pg';
import type { Database } from '../db/database.ts';
import { classify } from '../errors.ts';
import type { Logger } from '../log.ts';
import { inSpan } from '../tracing.ts';
import { beginActivity, completeActivity, failActivity } from './activity.ts';
import { failureOf, isOwnDatabaseAway } from './failure.ts';
import type { HeldRun } from './held.ts';
import { type Activity, isStop, type Json, Postponed, type Progress, type Run, Stopped } from './workflow.ts';

/** What runs are executed with. */
export type RunContext = {
  /** The workflows' own pool, and Kysely over it. */
  db: Database;
  pool: Pool;
  log: Logger;
  /** The workflows this worker knows. */
  names: readonly string[];
  /** Waits between the attempts at an activity, in seconds; default: 1, 2, 4, 8, 16. */
  retrySeconds?: readonly number[];
  /** Told how far an activity that is done has brought its run. */
  onProgress?: (before: Progress, now: Progress) => void;
  /** How long a run keeps a worker while others wait, in ms; default 30,000. */
  turnMs?: number;
  /** The worker is stopping: no further activity begins. */
  stopping(): boolean;
};

/** Five attempts more, as the sync monitoring guide has it. */
const RETRY_SECONDS = [1, 2, 4, 8, 16];
const TURN_MS = 30_000;
/** For a rate limit that does not say when to come back. */
const RATE_LIMIT_SECONDS = 60;

/** A run while a worker has it in hand. */
export class ActiveRun implements Run {
  readonly id: string;
  readonly name: string;
  readonly organizationId: string;
  readonly payload: Json;
  readonly db: Database;
  readonly signal: AbortSignal;
  progress: Progress;
  log: Logger;
  readonly #context: RunContext;
  readonly #held: HeldRun;
  readonly #outputs: Map<string, Json>;
  readonly #used = new Set<string>();
  readonly #since = performance.now();
  #busy = false;

  constructor(context: RunContext, held: HeldRun, outputs: Map<string, Json>, signal: AbortSignal) {
    const { id, name, organizationId, payload, progress } = held;
    this.id = id;
    this.name = name;
    this.organizationId = organizationId;
    this.payload = payload;
    this.progress = structuredClone(progress);
    this.db = context.db;
    this.signal = signal;
    this.#context = context;
    this.#held = held;
    this.#outputs = outputs;
    this.log = runLog(context.log, held);
  }

  async activity<Fetched, Output extends Json>(name: string, steps: Activity<Fetched, Output>): Promise<Output> {
    if (this.#used.has(name)) throw new Error(`two activities of one run have the same name: ${name}`);
    if (this.#busy) throw new Error(`activities of one run are done one at a time: ${name}`);
    this.#used.add(name);
    if (this.#outputs.has(name)) return this.#outputs.get(name) as Output;
    const { log } = this;
    this.#busy = true;
    this.log = log.child({ activity_name: name });
    try {
      return await this.#untilDone(name, steps);
    } finally {
      this.#busy = false;
      this.log = log;
    }
  }

  async #untilDone<Fetched, Output extends Json>(name: string, steps: Activity<Fetched, Output>): Promise<Output> {
    const waits = this.#context.retrySeconds ?? RETRY_SECONDS;
    for (let attempt = 1; ; attempt += 1) {
      const before = structuredClone(this.progress);
      const startedAt = performance.now();
      try {
        return await inSpan('activity', this.#spanOptions(name, attempt), () =>
          this.#attempt(name, steps, attempt, { startedAt, before }),
        );
      } catch (error) {
        this.progress = before;
        const seconds = await this.#judge(error, { name, attempt, wait: waits[attempt - 1], startedAt });
        await sleep(seconds * 1000, undefined, { signal: this.signal }).catch(() => {});
      }
    }
  }

  async #attempt<Fetched, Output extends Json>(
    name: string,
    { fetch, write }: Activity<Fetched, Output>,
    attempt: number,
    { startedAt, before }: { startedAt: number; before: Progress },
  ): Promise<Output> {
    this.#mayGoOn();
    const { db, pool, names } = this.#context;
    const { completed, othersWait } = await beginActivity(db, this.#held, { name, attempt, names });
    if (completed) {
      this.progress = completed.progress;
      return completed.output as Output;
    }
    if (othersWait && performance.now() - this.#since > (this.#context.turnMs ?? TURN_MS))
      throw new Stopped('others_wait');
    const fetched = await fetch(attempt);
    this.signal.throwIfAborted();
    const output = await completeActivity(pool, this.#held, { name, write, progress: () => this.progress }, fetched);
    this.#context.onProgress?.(before, this.progress);
    this.log.info({ attempt, duration_ms: elapsed(startedAt), ...this.progress }, 'activity completed');
    return output;
  }

  /** A trace for each attempt at an activity: a run may take days. */
  #spanOptions(activity: string, attempt: number) {
    const { id, name } = this;
    const attributes = {
      'tds.workflow': name,
      'tds.workflow_id': id,
      'tds.activity': activity,
      'tds.attempt': attempt,
    };
    return { parent: null, attributes };
  }

  #mayGoOn(): void {
    this.signal.throwIfAborted();
    if (this.#context.stopping()) throw new Stopped('shutdown');
  }

  /** Seconds until the next attempt; throws when there is none. */
  async #judge(
    error: unknown,
    { name, attempt, wait, startedAt }: { name: string; attempt: number; wait: number | undefined; startedAt: number },
  ): Promise<number> {
    // Whatever was thrown because of the abort: the reason of the abort is what counts.
    this.signal.throwIfAborted();
    if (isStop(error) || isOwnDatabaseAway(error)) throw error;
    const { tag, permanent, message, retryAfterSeconds, detail } = classify(error);
    if (tag === 'RateLimitError') throw new Postponed(retryAfterSeconds ?? RATE_LIMIT_SECONDS, message);
    const retrySeconds = permanent || wait === undefined ? undefined : Math.max(wait, retryAfterSeconds ?? 0);
    const facts = { attempt, duration_ms: elapsed(startedAt), error_tag: tag, error_message: message, ...detail };
    const line = { ...facts, retry_in_seconds: retrySeconds ?? null };
    if (retrySeconds === undefined) this.log.error(line, 'activity failed');
    else this.log.warn(line, 'attempt at an activity failed');
    await failActivity(this.db, this.#held, {
      ...{ name, attempt, failure: failureOf(error) },
      ...(retrySeconds === undefined ? {} : { retrySeconds }),
    });
    if (retrySeconds === undefined) throw error;
    return retrySeconds;
  }
}

/** Every line of a run carries these. */
export function runLog(log: Logger, { id, name, organizationId }: HeldRun): Logger {
  return log.child({
    component: 'workflows',
    workflow_name: name,
    workflow_id: id,
    organization_id: organizationId,
  });
}

function elapsed(startedAt: number): number {
  return Math.round(performance.now() - startedAt);
}
