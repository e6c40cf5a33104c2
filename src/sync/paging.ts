/**
 * Which page of a list is read next. Zoho's lists have no snapshot: rows move between pages while they are read. Pure.
 *
 * Newest first, a new record moves rows to later pages, where they are seen again; only deletions move rows to pages
 * that have been read already. Then the total that each page tells has gone down by as many rows as may have been passed
 * by, and these stand at the end of the pages before: reading goes back to them.
 */
import type { PullStrategy } from '../zoho/modules/modules.ts';

export type PageRead = {
  /** The strategy to go on with. */
  strategy: PullStrategy;
  /** How many records Zoho counts; null when it does not say. */
  total: number | null;
  more: boolean;
  /** A sorted scan has come to what a former run has seen. */
  reached: boolean;
  /** Different rows seen so far, unusable ones included; null on pages after which nobody has to know. */
  seen: number | null;
};

/** A page is read at most so often: a list that changes all the time must not be read for ever. */
const MOST_READS = 3;

const LIST_OF = { filter: ' of changes', 'sorted-scan': ' by change', 'full-scan': '' } as const;

export class Paging {
  page = 1;
  strategy: PullStrategy;
  /** Rows may have been passed by, and the list was not read again any more. */
  unsettled = false;
  readonly #perPage: number;
  readonly #reads = new Map<string, number>();
  #reading = 1;
  #total: number | null = null;
  #seenBefore = -1;

  constructor(strategy: PullStrategy, perPage: number) {
    this.strategy = strategy;
    this.#perPage = perPage;
  }

  /** What the page is called among all that are read: `page 7`, `page 7 again`. */
  get label(): string {
    const reads = this.#readsOf(this.page);
    return `${this.#nameOf(this.page)}${reads === 0 ? '' : reads === 1 ? ' again' : ` again ${reads}`}`;
  }

  /** Whether the rows seen so far have to be counted after this page, whatever follows. */
  get counts(): boolean {
    return this.#reading > 1;
  }

  /** Moves to the page that is to be read after this one; false when nothing is left to read. */
  next(read: PageRead): boolean {
    this.#reads.set(this.#nameOf(this.page), this.#readsOf(this.page) + 1);
    if (read.strategy !== this.strategy) return this.#readWhole(read.strategy);
    const passedBy = Math.max(0, (this.#total ?? 0) - (read.total ?? Number.POSITIVE_INFINITY));
    this.#total = read.total;
    if (passedBy > 0 && this.#goBack(passedBy)) return true;
    if (read.reached) return false;
    const whole = read.seen !== null && (read.total === null || read.seen >= read.total);
    if (read.more && !(this.#reading > 1 && whole)) return this.#goTo(this.page + 1);
    if (whole || this.#reading === MOST_READS || (read.seen ?? 0) <= this.#seenBefore) return false;
    this.#reading += 1;
    this.#seenBefore = read.seen ?? 0;
    return this.#goTo(1);
  }

  #readWhole(strategy: PullStrategy): true {
    this.strategy = strategy;
    this.#total = null;
    return this.#goTo(1);
  }

  /** To the first page that may hold now what was passed by; false when that is the first of all, or has been read enough. */
  #goBack(rows: number): boolean {
    const page = Math.max(1, this.page - Math.ceil(rows / this.#perPage));
    if (page === this.page) return false;
    if (this.#readsOf(page) < MOST_READS) return this.#goTo(page);
    this.unsettled = true;
    return false;
  }

  #goTo(page: number): true {
    this.page = page;
    return true;
  }

  #nameOf(page: number): string {
    return `page ${page}${LIST_OF[this.strategy]}`;
  }

  #readsOf(page: number): number {
    return this.#reads.get(this.#nameOf(page)) ?? 0;
  }
}
