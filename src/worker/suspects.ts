import { type ChildProcess, fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import path from 'node:path';
import type { Pool } from 'pg';
import type { Logger } from '../log.ts';
import { hasFreeSuspects } from '../queue/claim.ts';
import type { WorkerContext } from './context.ts';

/** The argument that makes a worker process run suspects only; its worker id follows. */
export const SUSPECTS_ONLY = '--suspects-only';
const MAIN = path.join(import.meta.dirname, 'main.ts');

/**
 * Runs the suspects of a crash in a process of their own, while all other events go on here. It has one of them in hand
 * at first, and twice as many each time that all in hand have ended. When it dies, the next process begins with one
 * again. So 2,000 innocent suspects take 11 claims, and one that kills its process is alone in hand after a number of
 * crashes that grows with the logarithm of how many wait before it; only then is it charged. The process ends when it
 * has found no more suspects for a while.
 */
export class SuspectRunner {
  readonly #pool: Pool;
  readonly #workerId: string;
  readonly #log: Logger;
  #child: ChildProcess | undefined;
  #stopping = false;
  #drained = false;

  constructor({ pool, workerId, log }: Pick<WorkerContext, 'pool' | 'workerId' | 'log'>) {
    this.#pool = pool;
    this.#workerId = workerId;
    this.#log = log;
  }

  /**
   * Starts the process when a suspect may run and no process does. One that waits for a retry before it may not: the
   * process would find nothing, end, and be started again each second until that retry.
   */
  async runIfAny(): Promise<void> {
    if (this.#child || this.#stopping || this.#drained) return;
    const found = await hasFreeSuspects(this.#pool, this.#workerId);
    if (found && !this.#child && !this.#stopping) this.#start();
  }

  /** An operator has drained this worker, or lets it claim again: its process for suspects ends with what it holds. */
  set drained(drained: boolean) {
    this.#drained = drained;
    if (drained) this.#child?.kill('SIGTERM');
  }

  /** Asks the process to end and waits for it. */
  async stop(): Promise<void> {
    this.#stopping = true;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  }

  #start(): void {
    const workerId = randomUUID();
    this.#log.info({ component: 'worker', suspects_worker_id: workerId }, 'running suspects in a process of their own');
    const child = fork(MAIN, [SUSPECTS_ONLY, workerId], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
    this.#child = child;
    child.on('error', (error) => this.#log.warn({ component: 'worker', error }, 'the process for suspects failed'));
    child.once('exit', (code, signal) => void this.#ended(workerId, code, signal));
  }

  /** A dead process renews no lease: saying so at once spares waiting for it to run out. */
  async #ended(workerId: string, code: number | null, signal: NodeJS.Signals | null): Promise<void> {
    if (code !== 0) {
      this.#log.warn(
        { component: 'worker', suspects_worker_id: workerId, code, signal },
        'a suspect ended its process',
      );
      await this.#pool
        .query('update tds_workers set expires_at = now() where worker_id = $1 and ended_at is null', [workerId])
        .catch((error: unknown) =>
          this.#log.warn({ component: 'worker', error }, 'an ended lease could not be marked'),
        );
    }
    this.#child = undefined;
  }
}
