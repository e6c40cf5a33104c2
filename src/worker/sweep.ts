import { onClient } from '../db/transaction.ts';
import { compactCounts } from '../queue/counts.ts';
import { promote } from '../queue/promote.ts';
import { releaseForgotten, rescue } from '../queue/rescue.ts';
import type { Crew } from './crew.ts';
import type { Lifeline } from './lifeline.ts';
import type { Loop } from './loop.ts';

const PROMOTE_MS = 1000;
const MAX_RESCUE_MS = 5000;

/** The worker's recurring small work: due retries every second, dead workers and counts every five (or every lease). */
export class Sweep {
  readonly #crew: Crew;
  readonly #loop: Loop;
  readonly #lifeline: Lifeline;
  readonly #leaseSeconds: number;
  readonly #rescueMs: number;
  #timers: NodeJS.Timeout[] = [];
  #running = new Set<Promise<void>>();

  constructor(crew: Crew, loop: Loop, lifeline: Lifeline, leaseSeconds: number) {
    this.#crew = crew;
    this.#loop = loop;
    this.#lifeline = lifeline;
    this.#leaseSeconds = leaseSeconds;
    this.#rescueMs = Math.min(MAX_RESCUE_MS, leaseSeconds * 1000);
  }

  start(): void {
    this.#every(PROMOTE_MS, () => this.#promote());
    // Jitter: a fleet that was started together must not sweep together.
    this.#every(this.#rescueMs * (0.8 + 0.4 * Math.random()), () => this.#rescue());
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await Promise.all(this.#running);
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
    this.#crew.log.warn({ component: 'worker', error }, 'sweep failed');
  }

  async #promote(): Promise<void> {
    const { due, suspects } = await onClient(this.#crew.pool, async (client) => {
      const due = await promote(client);
      await this.#loop.refresh(client);
      const { rows } = await client.query('select from tds_queue_ready where alone limit 1');
      return { due, suspects: rows.length };
    });
    if (due > 0) this.#loop.wake();
    if (suspects > 0) this.#loop.runSuspects().catch((error) => this.#warn(error));
  }

  async #rescue(): Promise<void> {
    await onClient(this.#crew.pool, compactCounts);
    await releaseForgotten(this.#crew.pool, this.#crew.workerId, this.#loop.leases, this.#crew.policy);
    // After an outage all leases have run out together: their owners get a while to renew before they are judged.
    if (this.#lifeline.steadyMs < this.#rescueMs) return;
    const rescued = await rescue(this.#crew.pool, this.#crew.policy, this.#leaseSeconds);
    for (const { workerId, events } of rescued) {
      this.#crew.log.warn(
        { component: 'worker', dead_worker_id: workerId, events },
        'rescued the events of a dead worker',
      );
    }
    if (rescued.length > 0) this.#loop.wake();
  }
}
