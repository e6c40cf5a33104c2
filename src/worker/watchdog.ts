/**
 * Watches the event loop from a thread of its own. A handler that blocks the loop (`for (;;) {}`) would take the whole
 * worker out of service without a sign; the thread says which event and handler it is and ends the process, so that
 * the event counts as one that kills its worker and all others go on.
 */
import inspector from 'node:inspector';
import { Worker } from 'node:worker_threads';
import type { Logger } from '../log.ts';
import type { Part } from '../shutdown.ts';
import { workInHand } from './containment.ts';
import { inHand, summary, TICK_MS } from './in-hand.ts';
import { IN_HAND_KEY } from './watchdog/ask-main-thread.ts';
import type { ThreadData } from './watchdog/thread.ts';

export type WatchdogOptions = {
  /** WATCHDOG_SECONDS: how long the event loop may stand still. 0 switches the watchdog off. */
  seconds: number;
  /** How long the main thread may take to say whose code it runs, in ms. Default 2,000. */
  answerMs?: number;
  /** The key of this worker's row in tds_workers, where the thread leaves the culprit's id. */
  workerId: string;
  databaseUrl: string;
  /** Lines begin with journald's priority. */
  journald: boolean;
  /** systemd's environment: NOTIFY_SOCKET, WATCHDOG_USEC. */
  env: NodeJS.ProcessEnv;
  log: Logger;
};

const SHORTEST_SECONDS = 2;
const LONGEST_SECONDS = 30;
const RESTART_MS = 1000;
const ANSWER_MS = 2000;

/**
 * The default of WATCHDOG_SECONDS: half the lease, from 2 to 30 s. The lease is renewed every third of its length by
 * the same event loop, so it ends two thirds of its length after the loop stands still at the earliest. The process
 * must be gone and its culprit recorded before that, or another worker would take the events over without knowing
 * which of them it was. Half the lease leaves a sixth of it, 5 s of 30, for finding out and recording.
 */
export function defaultWatchdogSeconds(leaseSeconds: number): number {
  return Math.min(LONGEST_SECONDS, Math.max(SHORTEST_SECONDS, leaseSeconds / 2));
}

/** A part to start before, and to stop after, everything that runs handlers: a blocked stop is noticed as well. */
export function watchdog(options: WatchdogOptions): Part {
  if (options.seconds === 0) return { name: 'watchdog' };
  let stopped = false;
  let thread: Worker | undefined;
  let timer: NodeJS.Timeout | undefined;
  const run = () => {
    if (stopped) return;
    thread = startThread(options);
    thread.on('error', (error) => options.log.error({ component: 'watchdog', error }, 'the watchdog failed'));
    thread.once('exit', () => setTimeout(run, RESTART_MS).unref());
  };
  return {
    name: 'watchdog',
    start() {
      answerInspector();
      timer = setInterval(() => inHand.tick(inspector.url() !== undefined), TICK_MS).unref();
      run();
    },
    async stop() {
      stopped = true;
      clearInterval(timer);
      await thread?.terminate();
    },
  };
}

/** Costs 13 MB, which `resourceLimits` do not change. `execArgv` keeps out what is preloaded into the process. */
function startThread({ seconds, answerMs = ANSWER_MS, workerId, databaseUrl, journald, env }: WatchdogOptions): Worker {
  const limits = { stallMs: seconds * 1000, answerMs };
  const workerData: ThreadData = { buffer: inHand.buffer, ...limits, workerId, databaseUrl, journald, env };
  const thread = new Worker(new URL('./watchdog/thread.ts', import.meta.url), { workerData, execArgv: [] });
  thread.unref();
  return thread;
}

/** Asked by the thread through the inspector, while the loop is blocked: whose code is running? */
function answerInspector(): void {
  const value = () => {
    const work = workInHand();
    return work ? summary(work) : null;
  };
  Object.defineProperty(globalThis, Symbol.for(IN_HAND_KEY), { value, configurable: true, writable: true });
}
