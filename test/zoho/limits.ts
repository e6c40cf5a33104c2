/** Zoho's limits as the stand-in counts them: each call that exceeds one is written down, and answered 429 if asked to. */

export type LimitOptions = {
  callsPerMinute: number;
  /** The sliding window; Zoho's has 60,000 ms. */
  windowMs: number;
  callsInFlight: number;
  callsPerDay: number;
  /** Seconds until the organization's midnight, as X-Rate-Limit-Reset says. */
  resetsInSeconds: number;
  /** False: count only, answer everything. */
  enforce: boolean;
};

export type Violation = 'per-minute' | 'in-flight' | 'per-day' | 'after-day-limit';

export class Limits {
  options: LimitOptions;
  readonly violations: Violation[] = [];
  calls = 0;
  inFlight = 0;
  mostInFlight = 0;
  /** Most calls that any window held. */
  mostInWindow = 0;
  usedToday = 0;
  /** Calls that others have made of the same organization. */
  usedByOthers = 0;
  #arrivals: number[] = [];
  #dayIsOver = false;

  constructor(options: Partial<LimitOptions> = {}) {
    this.options = {
      ...{ callsPerMinute: 100, windowMs: 60_000, callsInFlight: 5, callsPerDay: 10_000, resetsInSeconds: 38_709 },
      ...{ enforce: true, ...options },
    };
  }

  /** Counts an arriving call; returns Zoho's code when it is one too many. */
  arrive(): 44 | 45 | 1070 | undefined {
    const now = performance.now();
    this.calls += 1;
    this.inFlight += 1;
    this.#arrivals = this.#arrivals.filter((at) => at > now - this.options.windowMs);
    this.#arrivals.push(now);
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight);
    this.mostInWindow = Math.max(this.mostInWindow, this.#arrivals.length);
    const code = this.#exceeded();
    if (code === undefined) this.usedToday += 1;
    return this.options.enforce ? code : undefined;
  }

  leave(): void {
    this.inFlight -= 1;
  }

  /** A whole window without calls, in place of waiting for one. */
  passWindow(): void {
    this.#arrivals = [];
  }

  /** The next day of the organization. */
  newDay(): void {
    this.usedToday = 0;
    this.usedByOthers = 0;
    this.#dayIsOver = false;
  }

  get headers(): Record<string, string> {
    const { callsPerDay, resetsInSeconds } = this.options;
    return {
      'x-rate-limit-limit': String(callsPerDay),
      'x-rate-limit-remaining': String(Math.max(0, callsPerDay - this.usedToday - this.usedByOthers)),
      'x-rate-limit-reset': String(resetsInSeconds),
    };
  }

  #exceeded(): 44 | 45 | 1070 | undefined {
    const { callsPerDay, callsPerMinute, callsInFlight } = this.options;
    if (this.#dayIsOver) return this.#note('after-day-limit', 45);
    if (this.usedToday + this.usedByOthers >= callsPerDay) {
      this.#dayIsOver = true;
      return this.#note('per-day', 45);
    }
    if (this.#arrivals.length > callsPerMinute) return this.#note('per-minute', 44);
    if (this.inFlight > callsInFlight) return this.#note('in-flight', 1070);
    return undefined;
  }

  #note<T>(violation: Violation, code: T): T {
    this.violations.push(violation);
    return code;
  }
}
