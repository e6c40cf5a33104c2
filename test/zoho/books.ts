/**
 * The data of the stand-in for Zoho Books: as many records as wanted, made by rule. A record is a few numbers; its text
 * is made when it is asked for, so that 200,000 of them are cheap and everything about each can be computed again.
 */
import { renderDetail, renderRow } from './render.ts';

export type Kind =
  | 'contact'
  | 'item'
  | 'salesorder'
  | 'invoice'
  | 'customerpayment'
  | 'bill'
  | 'creditnote'
  | 'vendorpayment'
  | 'vendorcredit'
  | 'expense'
  | 'estimate'
  | 'journal'
  | 'purchaseorder'
  | 'inventoryadjustment'
  | 'chartofaccount'
  | 'tax'
  | 'user';

/** One record as the stand-in remembers it. */
export type Entry = {
  kind: Kind;
  id: string;
  /** The how-manieth of its module. */
  nth: number;
  /** Goes up with every change; part of every amount, so that two versions never look alike. */
  revision: number;
  /** Seconds since 1970; Zoho's times have no fractions. */
  createdAt: number;
  changedAt: number;
  deleted: boolean;
  /** Deleted, but lists still show it. */
  lingers: boolean;
  /** Whose record it is, for roles that see only their own. */
  owner: string;
};

/** What happened to a record, and how it was right after. */
export type Change = { entry: Entry; action: 'created' | 'updated' | 'deleted' };

/** When the first record was made, and the seconds between two: everything lies in the past. */
const EPOCH = Date.UTC(2026, 0, 5, 8) / 1000;
const STEP = 60;
/** Ids of Zoho have 16 to 19 digits; these do not fit a double. */
const FIRST_ID = 3_950_000_000_000_000_001n;

export class Books {
  readonly changes: Change[] = [];
  readonly #modules = new Map<Kind, Map<string, Entry>>();
  readonly #clock: () => number;
  #lastId = FIRST_ID;

  /** `clock` gives seconds since 1970; the default is the real one. */
  constructor(clock: () => number = () => Math.floor(Date.now() / 1000)) {
    this.#clock = clock;
  }

  /** Makes this many records of each module, all in the past and announced by nobody. */
  fill(counts: Partial<Record<Kind, number>>): this {
    for (const [kind, count] of Object.entries(counts) as [Kind, number][])
      for (let n = 0; n < count; n++) this.#add(kind, EPOCH + n * STEP);
    return this;
  }

  create(kind: Kind): Entry {
    const entry = this.#add(kind, this.#clock());
    this.#note(entry, 'created');
    return entry;
  }

  /** A change of a record. `silently`: without a new time, as Zoho changes balances of contacts. */
  change(entry: Entry, options: { silently?: boolean } = {}): void {
    entry.revision += 1;
    if (options.silently) return;
    entry.changedAt = Math.max(this.#clock(), entry.changedAt);
    this.#note(entry, 'updated');
  }

  /** `lingering`: lists go on showing it until `settle`, while its own path already says that it is gone. */
  delete(entry: Entry, options: { lingering?: boolean } = {}): void {
    entry.deleted = true;
    entry.lingers = options.lingering ?? false;
    this.#note(entry, 'deleted');
  }

  /** Lists forget what was deleted. */
  settle(): void {
    for (const module of this.#modules.values()) for (const entry of module.values()) entry.lingers = false;
  }

  find(kind: Kind, id: string): Entry | undefined {
    return this.#modules.get(kind)?.get(id);
  }

  /** What lists show, oldest first. */
  listed(kind: Kind): Entry[] {
    return [...(this.#modules.get(kind)?.values() ?? [])].filter(({ deleted, lingers }) => !deleted || lingers);
  }

  /** What exists, oldest first. */
  live(kind: Kind): Entry[] {
    return this.listed(kind).filter(({ deleted }) => !deleted);
  }

  /** JSON text of a record's full form, digit for digit as the API and the default payload of a webhook give it. */
  detail(entry: Entry): string {
    return renderDetail(entry);
  }

  /** JSON text of its list row: no lines, no addresses. */
  row(entry: Entry): string {
    return renderRow(entry);
  }

  #note(entry: Entry, action: Change['action']): void {
    this.changes.push({ entry: { ...entry }, action });
  }

  #add(kind: Kind, at: number): Entry {
    const module = this.#modules.get(kind) ?? new Map<string, Entry>();
    this.#modules.set(kind, module);
    this.#lastId += 2n;
    const nth = module.size + 1;
    const entry: Entry = {
      ...{ kind, nth, id: String(this.#lastId), revision: 1, createdAt: at, changedAt: at },
      ...{ deleted: false, lingers: false, owner: nth % 3 === 0 ? 'ann' : 'bob' },
    };
    module.set(entry.id, entry);
    return entry;
  }
}
