import type { RetryPolicy } from '../queue/backoff.ts';
import { compactCounts } from '../queue/counts.ts';
import { promote } from '../queue/promote.ts';
import { releaseForgotten, rescue } from '../queue/rescue.ts';
import type { WorkerContext } from './context.ts';
import type { Heartbeat } from './heartbeat.ts';
import type { Loop } from './loop.ts';
import { reportFailure } from './report.ts';
import type { SuspectRunner } from './suspects.ts';

const PROMOTE_MS = 1000;
const MAX_RESCUE_MS = 5000;

export type SweepOptions = {
  context: WorkerContext;
  loop: Loop;
  heartbeat: Pick<Heartbeat, 'steadyMs'>;
  leaseSeconds: number;
  /** Absent in the process that runs suspects itself. */
  suspects?: SuspectRunner;
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
    if ((await promote(context.pool)) > 0) loop.wake();
  }

  async #rescue(): Promise<void> {
    const { context, loop, heartbeat, leaseSeconds } = this.#options;
    const { pool, workerId, policy } = context;
    await compactCounts(pool);
    await releaseForgotten(pool, workerId, loop.leases, policy);
    // After an outage all leases have run out together: their owners get a while to renew before they are judged.
    if (heartbeat.steadyMs < this.#rescueMs) return;
    if (await this.#takeBack(policy, leaseSeconds)) loop.wake();
  }

  async #takeBack(policy: RetryPolicy, leaseSeconds: number): Promise<boolean> {
    const { pool, log } = this.#options.context;
    const rescued = await rescue(pool, policy, leaseSeconds);
    for (const { workerId, events } of rescued)
      log.warn({ component: 'worker', dead_worker_id: workerId, events }, 'took back the events of a dead worker');
    return rescued.length > 0;
  }
}
