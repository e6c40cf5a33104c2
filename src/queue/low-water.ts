import { byArrival } from './event.ts';

/** A place in the queue: what claims are ordered by. */
export type Place = { priority: number; arrival: string };

const BEGINNING: Place = { priority: -2147483648, arrival: '0' };
const REFRESH_MS = 1000;
/** What webhooks get. The mark never moves behind it: what they bring would stand before the mark, for a second. */
const LIVE_PRIORITY = 1;

/**
 * Where a worker's claims begin to look for candidates. While another session holds an old snapshot, the index keeps
 * an entry for every event that passed since, and a scan from the beginning reads them all (measured: 650 pages, not
 * 5). Nothing but speed depends on the mark: what stands before it is found at the next refresh, within a second.
 */
export class LowWater {
  #place = BEGINNING;
  #refreshedAt = performance.now();
  #setBack = 0;
  #claiming: Promise<unknown> = Promise.resolve();

  get place(): Place {
    if (performance.now() - this.#refreshedAt > REFRESH_MS) this.reset();
    return this.#place;
  }

  reset(): void {
    this.#place = BEGINNING;
    this.#refreshedAt = performance.now();
    this.#setBack += 1;
  }

  /** An event has ended: a later one of its entity, passed over meanwhile, may stand from its place on. */
  lookAgainFrom(place: Place): void {
    if (before(place, this.#place)) this.#place = { priority: place.priority, arrival: place.arrival };
    this.#setBack += 1;
  }

  /**
   * Runs a claim from the mark on and moves the mark to the first event it got: not to the last, because a statement
   * that is committed right now may hold lower arrivals. A mark that was set back meanwhile stays where it is.
   *
   * One claim at a time: a second one would read over all that the first has locked. While one lane claims, the other
   * works on its set.
   */
  claimFrom<T extends Place>(run: (from: Place) => Promise<T[]>): Promise<T[]> {
    const claimed = this.#claiming.then(() => this.#claimFrom(run));
    this.#claiming = claimed.catch(() => {});
    return claimed;
  }

  async #claimFrom<T extends Place>(run: (from: Place) => Promise<T[]>): Promise<T[]> {
    const from = this.place;
    const setBack = this.#setBack;
    const events = await run(from);
    const first = events.reduce<T | undefined>(
      (least, event) => (least && !before(event, least) ? least : event),
      undefined,
    );
    if (first && first.priority <= LIVE_PRIORITY && setBack === this.#setBack)
      this.#place = { priority: first.priority, arrival: first.arrival };
    return events;
  }
}

function before(a: Place, b: Place): boolean {
  return (a.priority - b.priority || byArrival(a, b)) < 0;
}
