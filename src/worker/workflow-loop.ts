import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../db/database.ts';
import { countRun, pullProgress } from '../monitor/prometheus/observers.ts';
import { Wakeup } from '../wakeup.ts';
import type { RunContext } from '../workflows/active-run.ts';
import { claimRun } from '../workflows/claim.ts';
import { executeRun } from '../workflows/execute.ts';
import { failureOf } from '../workflows/failure.ts';
import { failRun } from '../workflows/finish.ts';
import type { HeldRun } from '../workflows/held.ts';
import { runsToStop } from '../workflows/inspect.ts';
import type { Workflows } from '../workflows/registry.ts';
import { Stopped, type StopReason } from '../workflows/workflow.ts';
import { Containment } from './containment.ts';
import type { WorkerContext } from './context.ts';
import { reportFailure } from './report.ts';

export type WorkflowLoopOptions = {
  /** For claims: short statements that no workflow holds up. */
  queue: Database;
  /** The pool of the runs themselves. */
  runs: Pick<RunContext, 'db' | 'pool' | 'retrySeconds' | 'turnMs'>;
  workflows: Workflows;
  /** Runs at once: WORKFLOW_CONCURRENCY. */
  concurrency: number;
  /** Covers lost notifications. */
  pollMs?: number;
};

const POLL_MS = 1000;
/** What is still in hand so long after it was broken off is left to rescue. */
const LAST_DEADLINE_MS = 10_000;

type InHand = { held: HeldRun; controller: AbortController; done: Promise<void> };

/** Claims runs while there are any and slots are free, and breaks off those that were paused or terminated. */
export class WorkflowLoop {
  readonly #context: Pick<WorkerContext, 'workerId' | 'log' | 'outage' | 'metrics'>;
  readonly #options: WorkflowLoopOptions;
  readonly #wakeup = new Wakeup();
  readonly #inHand = new Set<InHand>();
  #running: Promise<void> | undefined;
  #stopping = false;
  /** An operator has drained this worker: each run is given back at the end of the activity it is in. */
  drained = false;

  constructor(context: Pick<WorkerContext, 'workerId' | 'log' | 'outage' | 'metrics'>, options: WorkflowLoopOptions) {
    this.#context = context;
    this.#options = options;
  }

  get inFlight(): number {
    return this.#inHand.size;
  }

  /** The leases this process knows of. */
  get leases(): string[] {
    return [...this.#inHand].map(({ held }) => held.lease);
  }

  start(): void {
    // Without workflows there is nothing to look for.
    if (this.#options.workflows.names.length > 0) this.#running = this.#run();
  }

  wake(): void {
    this.#wakeup.wake();
  }

  /** The leases are gone: what is in hand is another worker's. */
  loseLeases(): void {
    this.#breakOff('lease_lost');
  }

  /**
   * Claims nothing more; each run is given back at the end of the activity it is in, or when `drainMs` is over.
   * @throws Error when something is still in hand 10 s after that
   */
  async stop(drainMs: number): Promise<void> {
    this.#stopping = true;
    this.#wakeup.wake();
    const deadline = setTimeout(() => this.#breakOff('shutdown'), drainMs);
    const ended = this.#end().then(() => true);
    const inTime = await Promise.race([ended, sleep(drainMs + LAST_DEADLINE_MS, false, { ref: false })]);
    clearTimeout(deadline);
    if (!inTime) throw new Error(`${this.inFlight} workflows are still in hand: they are left to be taken back`);
  }

  async #end(): Promise<void> {
    await this.#running;
    await Promise.all([...this.#inHand].map(({ done }) => done));
  }

  async #run(): Promise<void> {
    while (!this.#stopping) {
      try {
        await this.#stopWhatMustStop();
        await this.#fillSlots();
      } catch (error) {
        reportFailure(this.#context, error, 'claiming workflows failed', 'workflows');
      }
      await this.#wakeup.sleep(this.#options.pollMs ?? POLL_MS);
    }
  }

  async #stopWhatMustStop(): Promise<void> {
    if (this.#inHand.size === 0) return;
    const must = await runsToStop(
      this.#options.queue,
      [...this.#inHand].map(({ held }) => held),
    );
    for (const { lease, why } of must) {
      for (const { held, controller } of this.#inHand) if (held.lease === lease) controller.abort(new Stopped(why));
    }
  }

  async #fillSlots(): Promise<void> {
    const { queue, workflows, concurrency } = this.#options;
    while (!this.#stopping && !this.drained && this.#inHand.size < concurrency) {
      const held = await claimRun(queue, this.#context.workerId, workflows.names);
      if (!held) return;
      this.#hold(held);
    }
  }

  #hold(held: HeldRun): void {
    const controller = new AbortController();
    const one = { held, controller, done: Promise.resolve() };
    this.#inHand.add(one);
    one.done = this.#execute(held, controller).finally(() => {
      this.#inHand.delete(one);
      this.#wakeup.wake();
    });
  }

  /** Contained as a handler is: the watchdog can name it, and what escapes from it fails the run, not the process. */
  async #execute(held: HeldRun, controller: AbortController): Promise<void> {
    const { runs, workflows } = this.#options;
    const { log, metrics } = this.#context;
    const definition = workflows.find(held.name);
    if (!definition) return;
    const stopping = () => this.#stopping || this.drained;
    const context = { ...runs, log, names: workflows.names, stopping, onProgress: pullProgress(metrics) };
    const work = { handler: `workflow ${held.name}`, events: [{ id: held.id, eventType: held.name }] };
    try {
      await new Containment().run(work, controller.signal, async (signal) => {
        const startedAt = performance.now();
        countRun(metrics, held.name, await executeRun(context, definition, held, signal), startedAt);
      });
    } catch (error) {
      await failRun(runs.db, held, failureOf(error)).catch(() => {});
      controller.abort(new Stopped('lease_lost'));
    }
  }

  #breakOff(why: StopReason): void {
    for (const { controller } of this.#inHand) controller.abort(new Stopped(why));
  }
}
