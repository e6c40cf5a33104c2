import type { Logger } from './log.ts';

/** What a process can be without for a while. `schema`: the database answers, but its tables are not those we need. */
export type Dependency = 'database' | 'redis' | 'schema';

export type OutageOptions = {
  /** 'error' by default, so that `journalctl -p err` shows it; 'warn' for what is only slower without. */
  level?: 'error' | 'warn';
  /** Milliseconds; default Date.now. */
  now?: () => number;
};

const REPEAT_MS = 60_000;
const MAX_REASON = 300;

/**
 * Turns the failures of one dependency, however many, into one log line when it goes away, one a minute while it stays
 * away, and one when it is back. One per process and dependency: whoever uses the dependency reports to the same one.
 */
export class OutageLog {
  readonly #dependency: Dependency;
  readonly #log: Pick<Logger, 'error' | 'warn' | 'info'>;
  readonly #level: 'error' | 'warn';
  readonly #now: () => number;
  #since: number | undefined;
  #saidAt = 0;
  #failures = 0;

  constructor(dependency: Dependency, log: Pick<Logger, 'error' | 'warn' | 'info'>, options: OutageOptions = {}) {
    this.#dependency = dependency;
    this.#log = log;
    this.#level = options.level ?? 'error';
    this.#now = options.now ?? Date.now;
  }

  /** True from a failure until the next success. */
  get away(): boolean {
    return this.#since !== undefined;
  }

  /** The dependency did not answer, or said that it cannot. */
  failed(error: unknown): void {
    const now = this.#now();
    this.#failures += 1;
    if (this.#since === undefined) {
      this.#since = now;
      this.#say(now, `${this.#dependency} away`, { reason: reasonOf(error) });
    } else if (now - this.#saidAt >= REPEAT_MS) {
      this.#say(now, `${this.#dependency} still away`, { reason: reasonOf(error), failures: this.#failures });
    }
  }

  /** The dependency answered. Costs nothing while all is well: call it as often as you like. */
  recovered(): void {
    if (this.#since === undefined) return;
    const seconds = Math.round((this.#now() - this.#since) / 100) / 10;
    this.#log.info(
      { component: this.#dependency, after_seconds: seconds, failures: this.#failures },
      `${this.#dependency} back`,
    );
    this.#since = undefined;
    this.#failures = 0;
  }

  #say(now: number, message: string, fields: object): void {
    this.#saidAt = now;
    const since = new Date(this.#since ?? now).toISOString();
    this.#log[this.#level]({ component: this.#dependency, since, ...fields }, message);
  }
}

/** What happened in a sentence, without a stack: a thousand callers fail in a thousand places for one reason. */
function reasonOf(error: unknown): string {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: unknown };
  const text = typeof message === 'string' && message !== '' ? message : String(code ?? 'unknown');
  return text.slice(0, MAX_REASON);
}
