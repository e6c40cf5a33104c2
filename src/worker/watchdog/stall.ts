/**
 * Measures how long the event loop stands still, on the watchdog's own clock: a look that itself came late (the process
 * was stopped, the machine suspended or overloaded) counts for two intervals at most, because then the loop had no
 * chance either.
 */
export class Stall {
  readonly #intervalMs: number;
  #ticks = -1;
  #lookedAt = 0;
  #stalledMs = 0;

  /** @param intervalMs the time between two looks */
  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** A look at the loop's ticks at a time in ms. Returns for how many ms the loop has not ticked. */
  look(ticks: number, nowMs: number): number {
    const passed = Math.min(nowMs - this.#lookedAt, 2 * this.#intervalMs);
    this.#stalledMs = ticks === this.#ticks ? this.#stalledMs + passed : 0;
    this.#ticks = ticks;
    this.#lookedAt = nowMs;
    return this.#stalledMs;
  }
}
