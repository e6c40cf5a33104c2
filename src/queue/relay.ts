import type { ClientBase } from 'pg';
import type { Announcement } from './bullmq.ts';
import { type LowWater, newLowWater, refreshLowWater } from './low-water.ts';

/** So many entities stand announced at most: a backlog of millions stays in PostgreSQL and costs Redis 2 MB. */
export const WINDOW = 2000;
/** What still waits after so long is announced again, in case Redis lost it. */
const FORGET_MS = 5000;
const LOW_WATER_MS = 250;
/** Events due so soon are announced ahead, so that they run on the millisecond. */
const HORIZON_SECONDS = 5;

/**
 * Decides what to announce: the first events, in the order of the queue, of entities that nobody works on. It
 * remembers what it announced for FORGET_MS at most and while it still waits, so Redis is rebuilt from PostgreSQL in
 * that time, whatever it lost.
 */
export class Relay {
  readonly #low: LowWater = newLowWater();
  #lowSetAt = 0;
  #announced = new Map<string, number>();
  /** More may wait than the window shows: look again soon, as nobody tells when it moves on. */
  windowIsFull = false;

  /**
   * What waits and has not been announced of late.
   * @param bundle at most so many entities in one announcement
   */
  async waiting(client: ClientBase, bundle: number): Promise<Announcement[]> {
    const now = performance.now();
    await this.#refreshLow(client, now);
    const { rows } = await client.query<Row>({
      name: 'announce',
      text: ANNOUNCE,
      values: [WINDOW, this.#low.priority, this.#low.arrival, this.#low.claimXid, HORIZON_SECONDS],
    });
    this.windowIsFull = rows.length >= WINDOW;
    const first = rows.find((row) => row.delay_ms === null);
    if (first) Object.assign(this.#low, { priority: first.priority, arrival: first.arrival });
    return bundles(this.#notYetAnnounced(firstOfEach(rows), now), bundle);
  }

  // As in claim.ts: a scan from the very beginning reads the index entries of every event that passed.
  async #refreshLow(client: ClientBase, now: number): Promise<void> {
    if (now - this.#lowSetAt < LOW_WATER_MS) return;
    await refreshLowWater(client, this.#low);
    this.#lowSetAt = now;
  }

  #notYetAnnounced(waiting: Row[], now: number): Row[] {
    const before = this.#announced;
    const announcedAt = (row: Row) => {
      const at = before.get(row.turn);
      return at !== undefined && now - at < FORGET_MS ? at : now;
    };
    this.#announced = new Map(waiting.map((row) => [row.turn, announcedAt(row)]));
    return waiting.filter(({ turn }) => this.#announced.get(turn) === now);
  }
}

type Row = {
  /** Names this turn of this event: told to run now, it must not be taken for the one announced for later. */
  turn: string;
  arrival: string;
  entity_key: string;
  priority: number;
  /** Null: may run now. */
  delay_ms: number | null;
};

/** Whoever hears of an entity takes its events in their order, so one of them is enough. */
function firstOfEach(rows: Row[]): Row[] {
  const byEntity = new Map<string, Row>();
  for (const row of rows) if (!byEntity.has(row.entity_key)) byEntity.set(row.entity_key, row);
  return [...byEntity.values()];
}

/** Neighbours of one priority share an announcement: BullMQ takes 150 µs of Redis for each (measured). */
function bundles(rows: Row[], size: number): Announcement[] {
  const announcements: Announcement[] = [];
  for (const { turn, entity_key, priority, delay_ms } of rows) {
    const last = announcements.at(-1);
    const delayMs = delay_ms === null ? 0 : Math.max(1, Math.ceil(delay_ms));
    if (last && last.entityKeys.length < size && last.priority === priority && last.delayMs + delayMs === 0)
      last.entityKeys.push(entity_key);
    else announcements.push({ jobId: turn, entityKeys: [entity_key], priority, delayMs });
  }
  // The size is a part of the name: a bundle that begins alike but holds more is another one.
  return announcements.map((one) => ({ ...one, jobId: `${one.jobId}_${one.entityKeys.length}` }));
}

// An entity with a delayed event waits for it; one with an event in hand is looked at by its worker at the end.
const ANNOUNCE = `
(select queue_id || '_' || arrival as turn, arrival, entity_key, priority, null::float8 as delay_ms
 from tds_queue_ready r
 where (priority, arrival) >= ($2::int, $3::bigint) and not alone
   and entity_key not in (select unnest(entity_keys) from tds_queue_claims where claim_xid >= $4::bigint)
   and not exists (select from tds_queue_delayed d where d.entity_key = r.entity_key)
   and not (select paused from tds_queue_state)
 order by priority, arrival limit $1)
union all
(select queue_id || '_' || arrival || '_' || extract(epoch from run_at), arrival, entity_key, priority,
   extract(epoch from run_at - clock_timestamp())::float8 * 1000
 from tds_queue_delayed
 where run_at < statement_timestamp() + $5 * interval '1 second' and not alone
 order by run_at limit $1)`;
