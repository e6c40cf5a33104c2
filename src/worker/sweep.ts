import type { Database } from '../db/database.ts';
import type { RetryPolicy } from '../queue/backoff.ts';
import { compactCounts } from '../queue/counts.ts';
import { settlePauses } from '../queue/pause.ts';
import { promote } from '../queue/promote.ts';
import { releaseForgotten, rescue } from '../queue/rescue.ts';
import { releaseForgottenRuns, rescueRuns } from '../workflows/rescue.ts';
import type { WorkerContext } from './context.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Loop } from './loop.ts';
import { reportFailure } from './report.ts';
import type { SuspectRunner } from './suspects.ts';
import type { WorkflowLoop } from './workflow-loop.ts';

const PROMOTE_MS = 1000;
const MAX_RESCUE_MS = 5000;

export type SweepOptions = {
  context: WorkerContext;
  loop: Loop;
  heartbeat: Pick<Heartbeat, 'steadyMs'>;
  leaseSeconds: number;
  /** Absent in the process that runs suspects itself. */
  suspects?: SuspectRunner;
  /** Absent where no workflows are run. */
  workflows?: { db: Database; loop: Pick<WorkflowLoop, 'leases'> };
};

/** The worker's recurring small work: due retries and suspects every second, dead workers and counts every five. */
export class Sweep {
  readonly #options: SweepOptions;
  readonly #rescueMs: number;
  #timers: NodeJS.Timeout[] = [];
  #running = new Set<Promise<void>>();

  constructor(options: SweepOptions) {
    this.#options = options;
    this.#rescueMs = Math.min(MAX_RESCUE_MS, options.leaseSeconds * 1000);
  }

  start(): void {
    this.#every(PROMOTE_MS, () => this.#promote());
    this.#every(PROMOTE_MS, async () => this.#options.suspects?.runIfAny());
    // Jitter: a fleet that was started together must not sweep together.
    this.#every(this.#rescueMs * (0.8 + 0.4 * Math.random()), () => this.#rescue());
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#running);
    await this.#options.suspects?.stop();
  }

  #every(ms: number, work: () => Promise<void>): void {
    let busy = false;
    const run = async () => {
      if (busy) return;
      busy = true;
      const running = work().catch((error) => this.#warn(error));
      this.#running.add(running);
      await running;
      this.#running.delete(running);
      busy = false;
    };
    this.#timers.push(setInterval(run, ms));
  }

  #warn(error: unknown): void {
    reportFailure(this.#options.context, error, 'sweep failed');
  }

  async #promote(): Promise<void> {
    const { context, loop } = this.#options;
    await settlePauses(context.pool);
    if ((await promote(context.pool)) > 0) loop.wake();
  }

  async #rescue(): Promise<void> {
    const { context, loop, heartbeat, leaseSeconds, workflows } = this.#options;
    const { pool, workerId, policy } = context;
    await compactCounts(pool);
    await releaseForgotten(pool, workerId, loop.leases, policy);
    if (workflows) await releaseForgottenRuns(workflows.db, workerId, workflows.loop.leases);
    // After an outage all leases have run out together: their owners get a while to renew before they are judged.
    if (heartbeat.steadyMs < this.#rescueMs) return;
    if (await this.#takeBack(policy, leaseSeconds)) loop.wake();
    if (workflows) await this.#takeBackRuns(workflows.db);
  }

  async #takeBackRuns(db: Database): Promise<void> {
    const { context, leaseSeconds } = this.#options;
    for (const { id, name, worker_id, status, crash_count } of await rescueRuns(db, leaseSeconds)) {
      const run = { workflow_id: id, workflow_name: name, status, crash_count };
      const line = { component: 'workflows', dead_worker_id: worker_id, ...run };
      context.log.warn(line, 'took back a workflow of a dead worker');
    }
  }

  async #takeBack(policy: RetryPolicy, leaseSeconds: number): Promise<boolean> {
    const { pool, log, metrics } = this.#options.context;
    const rescued = await rescue(pool, policy, leaseSeconds);
    for (const { workerId, events } of rescued) {
      log.warn({ component: 'worker', dead_worker_id: workerId, events }, 'took back the events of a dead worker');
      metrics.count('tds_lease_takeovers_total', {});
      metrics.count('tds_lease_takeover_events_total', {}, events);
    }
    return rescued.length > 0;
  }
}
