/**
 * Start and stop as a contract: parts start in order and stop in reverse, once, whatever asks for it and how often,
 * and within a deadline.
 */
import type { Logger } from './log.ts';

export type Part = {
  name: string;
  start?(): Promise<unknown> | unknown;
  /** May be called after a failed or missing start; is called once. */
  stop?(): Promise<unknown> | unknown;
  /** What a stop that takes long waits for, such as '3 events in hand'. */
  waitsFor?(): string;
};

export type LifecycleOptions = {
  log: Logger;
  /** The stop as a whole may take this long; then the process exits with code 1 and its leases run out. */
  deadlineMs: number;
  /** What SIGHUP does: reload. Default: nothing, but it no longer kills. */
  onHangup?: () => Promise<unknown> | unknown;
};

/** An operator who stops a service wonders after this long whether it hangs. */
const LONG_STOP_MS = 2000;

/** Parts that were started together; see {@link runProcess} for the usual way to use it. */
export class Lifecycle {
  readonly #parts: Part[];
  readonly #log: Logger;
  readonly #started: Part[] = [];
  #stopping: Promise<boolean> | undefined;

  constructor(parts: Part[], log: Logger) {
    this.#parts = parts;
    this.#log = log;
  }

  /** Starts the parts one after the other. When one fails, those before it are stopped and the error is thrown. */
  async start(): Promise<void> {
    for (const part of this.#parts) {
      if (this.#stopping) return;
      this.#started.push(part);
      try {
        await part.start?.();
      } catch (error) {
        await this.stop(`${part.name} did not start`);
        throw error;
      }
    }
  }

  /** Stops what was started, in reverse. Every call answers the same promise: true when all parts stopped well. */
  stop(reason: string): Promise<boolean> {
    this.#stopping ??= this.#stopAll(reason);
    return this.#stopping;
  }

  async #stopAll(reason: string): Promise<boolean> {
    this.#log.info({ component: 'process', reason }, 'stopping');
    let clean = true;
    for (const part of this.#started.toReversed()) {
      // A part that fails to stop must not keep the others from stopping.
      clean = (await this.#stopPart(part)) && clean;
    }
    this.#log.info({ component: 'process', clean }, 'stopped');
    return clean;
  }

  async #stopPart(part: Part): Promise<boolean> {
    const explaining = setInterval(() => this.#explain(part), LONG_STOP_MS);
    try {
      await part.stop?.();
      return true;
    } catch (error) {
      this.#log.error({ component: 'process', part: part.name, error }, 'a part did not stop');
      return false;
    } finally {
      clearInterval(explaining);
    }
  }

  #explain(part: Part): void {
    this.#log.info({ component: 'process', part: part.name, waits_for: part.waitsFor?.() }, 'still stopping');
  }
}

/** What a child of `npm start` sends once it has started. */
export const READY = 'ready';

/**
 * Runs a process made of these parts until SIGTERM or SIGINT, then ends it: exit code 0 after a clean stop, 1 when a
 * part failed or the deadline passed. A repeated signal changes nothing.
 */
export async function runProcess(parts: Part[], options: LifecycleOptions): Promise<Lifecycle> {
  const { log } = options;
  const lifecycle = new Lifecycle(parts, log);
  const end = (signal: NodeJS.Signals) => void endProcess(lifecycle, signal, options);
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  process.on('SIGHUP', () => void hangUp(options));
  try {
    await lifecycle.start();
  } catch (error) {
    log.fatal({ component: 'process', error }, 'start failed');
    process.exit(1);
  }
  tellLauncher();
  return lifecycle;
}

/** `npm start` says that it is ready when all its processes are. When it has gone meanwhile, its signal ends this one. */
function tellLauncher(): void {
  process.send?.(READY, undefined, undefined, () => {});
}

async function endProcess(lifecycle: Lifecycle, signal: string, { log, deadlineMs }: LifecycleOptions): Promise<void> {
  const deadline = setTimeout(() => {
    log.error({ component: 'process', deadline_ms: deadlineMs }, 'stop took too long');
    process.exit(1);
  }, deadlineMs);
  const clean = await lifecycle.stop(signal);
  clearTimeout(deadline);
  process.exit(clean ? 0 : 1);
}

async function hangUp({ log, onHangup }: LifecycleOptions): Promise<void> {
  try {
    await onHangup?.();
    log.info({ component: 'process' }, 'hang-up handled');
  } catch (error) {
    log.error({ component: 'process', error }, 'reload failed');
  }
}
