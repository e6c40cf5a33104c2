/** Lets loops sleep until something happens, at most a given time. A wake-up while nobody sleeps is remembered. */
export class Wakeup {
  readonly #sleepers = new Set<() => void>();
  #missed = false;

  wake(): void {
    this.#missed = this.#sleepers.size === 0;
    for (const rise of this.#sleepers) rise();
  }

  async sleep(ms: number): Promise<void> {
    if (this.#missed) {
      this.#missed = false;
      return;
    }
    await new Promise<void>((resolve) => {
      const rise = () => {
        clearTimeout(timer);
        this.#sleepers.delete(rise);
        resolve();
      };
      const timer = setTimeout(rise, ms);
      this.#sleepers.add(rise);
    });
  }
}
