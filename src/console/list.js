import { pollPage } from './api.js';

/** A list that grows by 'show more': how many pages of it are shown, and how to read them. */
export class List {
  #pages = 1;
  #first;
  #next;

  /** The first page has `first` rows, each further one `next`. */
  constructor(first, next) {
    this.#first = first;
    this.#next = next;
  }

  get pages() {
    return this.#pages;
  }

  /** The next load reads so many pages more. */
  grow(pages = 1) {
    this.#pages += pages;
  }

  shrink() {
    this.#pages = 1;
  }

  /** All rows that are shown, and whether there are more; `path` ends where its limit and cursor are added. */
  async load(path) {
    const rows = new Map();
    let cursor = '';
    for (let page = 0; page < this.#pages && cursor !== null; page++) {
      const limit = page === 0 ? this.#first : this.#next;
      const answer = await pollPage(`${path}limit=${limit}${cursor && `&cursor=${cursor}`}`);
      // What arrived between two pages has shifted them: a row may come twice.
      for (const row of answer.rows) rows.set(row.id, row);
      cursor = answer.next;
    }
    return { rows: [...rows.values()], more: cursor !== null };
  }
}
