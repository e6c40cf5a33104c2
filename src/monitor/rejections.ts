import { sql } from 'kysely';
import type { Database } from '../db/database.ts';
import type { Position } from './page.ts';

/** One rejected delivery: nothing of its body but size and hash. */
export type Rejection = { cause: string; path: string; bytes: number | null; sha256: string | null };

type Counted = Rejection & { rejections: number; firstMs: number; lastMs: number };

/** Distinct paths between two writes; more are counted under one. */
const MAX_COUNTERS = 100;
const OTHER_PATHS = '*';
const SOON_MS = 1000;
/** How late others may learn that all is well. */
const WELL_MS = 30_000;

/**
 * Counts rejected deliveries in memory and adds them up in the database some seconds later: a flood costs an addition
 * each, and one statement a second. What is not written when the process dies was counted in vain.
 */
export class RejectionCounter {
  readonly #db: Database;
  #counters = new Map<string, Counted>();
  #acceptedMs: number | undefined;
  #sinceAccepted = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Whether the database knows of the latest delivery that was accepted after a rejected one. */
  #isWell = false;

  constructor(db: Database) {
    this.#db = db;
  }

  count(rejection: Rejection): void {
    this.#add({ ...rejection, rejections: 1, firstMs: performance.now(), lastMs: performance.now() });
    this.#sinceAccepted += 1;
    this.#isWell = false;
    this.#writeIn(SOON_MS);
  }

  /** Notes a delivery that proved itself. */
  accepted(): void {
    this.#acceptedMs = performance.now();
    this.#sinceAccepted = 0;
    if (this.#timer === undefined) this.#writeIn(this.#isWell ? WELL_MS : SOON_MS);
  }

  /** Writes what has been counted. Throws when the database is away; then it is written the next time. */
  async write(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const [counted, acceptedMs, since] = [[...this.#counters.values()], this.#acceptedMs, this.#sinceAccepted];
    if (counted.length === 0 && acceptedMs === undefined) return;
    this.#counters = new Map();
    this.#acceptedMs = undefined;
    this.#sinceAccepted = 0;
    try {
      await writeCounted(this.#db, counted, { acceptedMs, since });
      this.#isWell = since === 0;
    } catch (error) {
      for (const counter of counted) this.#add(counter);
      // Unless a later one was accepted meanwhile, what was rejected since still stands.
      if (this.#acceptedMs === undefined) this.#sinceAccepted += since;
      this.#acceptedMs ??= acceptedMs;
      throw error;
    }
  }

  #add(counter: Counted): void {
    const { cause } = counter;
    const key = `${cause} ${counter.path}`;
    const isFull = this.#counters.size >= MAX_COUNTERS && !this.#counters.has(key);
    const path = isFull ? OTHER_PATHS : counter.path;
    const before = this.#counters.get(`${cause} ${path}`);
    this.#counters.set(`${cause} ${path}`, before ? merged(before, counter) : { ...counter, path });
  }

  #writeIn(ms: number): void {
    // What failed is tried again with the next delivery, at the latest.
    this.#timer ??= setTimeout(() => this.write().catch(() => {}), ms).unref();
  }
}

/** The hash of the latest one that has a hash: bodies of most floods are not read. */
function merged(a: Counted, b: Counted): Counted {
  const { bytes, sha256 } = b.sha256 !== null || a.sha256 === null ? b : a;
  const times = { firstMs: Math.min(a.firstMs, b.firstMs), lastMs: Math.max(a.lastMs, b.lastMs) };
  return { ...a, ...times, bytes, sha256, rejections: a.rejections + b.rejections };
}

const HOUR = sql`date_trunc('hour', now(), 'UTC')`;
/** Rows an hour may have; beyond them all paths of a cause are one. */
const MAX_ROWS_PER_HOUR = 500;

async function writeCounted(
  db: Database,
  counted: Counted[],
  { acceptedMs, since }: { acceptedMs: number | undefined; since: number },
): Promise<void> {
  const now = performance.now();
  const agoOf = (ms: number) => (now - ms) / 1000;
  const rows = counted.map(({ firstMs, lastMs, ...row }) => ({ ...row, first: agoOf(firstMs), last: agoOf(lastMs) }));
  // In the order of the key, so that two processes never wait for each other in a circle.
  await sql`
    insert into tds_webhook_rejections as r (hour, cause, path, rejections, first_at, last_at, bytes, sha256)
    select ${HOUR}, cause, place.path, sum(rejections), now() - max(first) * interval '1 second',
      now() - min(last) * interval '1 second', max(bytes), max(sha256)
    from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb) as g (cause text, path text, rejections bigint, first float8,
      last float8, bytes bigint, sha256 text)
    cross join lateral (select case
      when (select count(*) from tds_webhook_rejections where hour = ${HOUR}) < ${MAX_ROWS_PER_HOUR} then g.path
      when exists (select from tds_webhook_rejections k where k.hour = ${HOUR} and k.cause = g.cause and k.path = g.path)
        then g.path else ${OTHER_PATHS} end as path) place
    group by cause, place.path order by cause, place.path
    on conflict (hour, cause, path) do update set rejections = r.rejections + excluded.rejections,
      last_at = greatest(r.last_at, excluded.last_at),
      bytes = case when excluded.sha256 is null and r.sha256 is not null then r.bytes else excluded.bytes end,
      sha256 = coalesce(excluded.sha256, r.sha256)`.execute(db);
  // What was rejected before another process accepted one says nothing about now.
  const accepted = acceptedMs === undefined ? null : agoOf(acceptedMs);
  const lastRejected = counted.length === 0 ? null : agoOf(Math.max(...counted.map(({ lastMs }) => lastMs)));
  await sql`
    update tds_webhook_intake i set
      last_accepted_at = greatest(i.last_accepted_at, a.accepted_at),
      rejected_since_accepted = case when a.accepted_at > i.last_accepted_at or i.last_accepted_at is null then 0
          else i.rejected_since_accepted end
        + case when a.rejected_at > greatest(i.last_accepted_at, a.accepted_at) then ${since}::bigint else 0 end
    from (select now() - ${accepted}::float8 * interval '1 second' as accepted_at,
      now() - ${lastRejected}::float8 * interval '1 second' as rejected_at) a`.execute(db);
}

export type RejectedDeliveries = {
  id: string;
  hour: Date;
  cause: string;
  path: string;
  count: number;
  first_at: Date;
  last_at: Date;
  bytes: number | null;
  sha256: string | null;
};

/** Rejected deliveries per hour, cause and path, the latest first. @param after the `next` of the page before */
export async function readRejections(
  db: Database,
  { limit, after }: { limit: number; after?: Position | undefined },
): Promise<{ rejections: RejectedDeliveries[]; next: Position | undefined }> {
  const behind = after ? sql`where (last_at, id) < (${after.at}::timestamptz, ${after.id}::uuid)` : sql``;
  const { rows } = await sql<RejectedDeliveries & { at: string }>`
    select id, hour, cause, path, rejections::float8 as count, first_at, last_at, bytes::float8 as bytes, sha256,
      last_at::text as at
    from tds_webhook_rejections ${behind} order by last_at desc, id desc limit ${limit + 1}`.execute(db);
  const page = rows.slice(0, limit);
  const last = rows.length > limit ? page.at(-1) : undefined;
  return {
    rejections: page.map(({ at: _at, ...row }) => row),
    next: last && { at: last.at, id: last.id },
  };
}

/** How many were rejected in the last 24 hours by cause, and how it has been since the last one that was accepted. */
export async function rejectionSummary(db: Database) {
  const [causes, intake] = await Promise.all([
    sql<{ cause: string; count: number }>`
      select cause, sum(rejections)::float8 as count from tds_webhook_rejections
      where last_at > now() - interval '24 hours' group by cause order by cause`.execute(db),
    db.selectFrom('tds_webhook_intake').select(['last_accepted_at', 'rejected_since_accepted']).executeTakeFirst(),
  ]);
  return {
    last_24_hours: Object.fromEntries(causes.rows.map(({ cause, count }) => [cause, count])),
    last_accepted_at: intake?.last_accepted_at ?? null,
    rejected_since_accepted: Number(intake?.rejected_since_accepted ?? 0),
  };
}
