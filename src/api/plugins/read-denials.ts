const AGAIN_AFTER_MS = 60_000;
/** Operators times routes; beyond that the oldest are forgotten. */
const MAX_KNOWN = 10_000;

/** Which denied reads have been noted lately. */
export class ReadDenials {
  readonly #noted = new Map<string, number>();

  /** True once a minute for an operator and a route. */
  isNew(operator: string, url: string): boolean {
    const key = `${operator} ${url}`;
    const now = performance.now();
    if (now - (this.#noted.get(key) ?? Number.NEGATIVE_INFINITY) < AGAIN_AFTER_MS) return false;
    this.#noted.delete(key);
    this.#noted.set(key, now);
    const [oldest] = this.#noted.keys();
    if (this.#noted.size > MAX_KNOWN && oldest !== undefined) this.#noted.delete(oldest);
    return true;
  }
}
