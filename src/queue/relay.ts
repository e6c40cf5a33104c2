import type { Pool } from 'pg';
import type { Announcement } from './bullmq.ts';
import { LowWater } from './low-water.ts';

/** So many entities stand announced at most: a backlog of millions stays in PostgreSQL and costs Redis 2 MB. */
export const WINDOW = 2000;
/** What still waits after so long is announced again, in case Redis lost it. */
const FORGET_MS = 5000;
/** Events due so soon are announced ahead, so that they run on the millisecond. */
const HORIZON_SECONDS = 5;

/**
 * Decides what to announce: the first events, in the order of the queue, of entities that nobody works on. It
 * remembers what it announced for FORGET_MS at most and while it still waits, so Redis is rebuilt from PostgreSQL in
 * that time, whatever it lost.
 */
export class Relay {
  readonly #low = new LowWater();
  #announced = new Map<string, number>();
  /** More may wait than the window shows: look again soon, as nobody tells when it moves on. */
  windowIsFull = false;

  /**
   * What waits and has not been announced of late.
   * @param bundle at most so many entities in one announcement
   */
  async waiting(pool: Pool, bundle: number): Promise<Announcement[]> {
    let waiting: Row[] = [];
    await this.#low.claimFrom(async (from) => {
      waiting = await readWaiting(pool, from);
      return waiting.filter((row) => row.delay_ms === null);
    });
    this.windowIsFull = waiting.length >= WINDOW;
    return bundles(this.#notYetAnnounced(firstOfEach(waiting), performance.now()), bundle);
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

async function readWaiting(pool: Pool, from: { priority: number; arrival: string }): Promise<Row[]> {
  const values = [WINDOW, from.priority, from.arrival, HORIZON_SECONDS];
  const { rows } = await pool.query<Row>({ name: 'announce', text: ANNOUNCE, values });
  return rows;
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

// An entity whose first event has to wait is announced for then; one in hand is looked at by its worker at the end.
const ANNOUNCE = `
(select id || '_' || arrival as turn, arrival, entity_key, priority, null::float8 as delay_ms
 from tds_queue_waiting w
 where due and (priority, arrival) >= ($2::int, $3::bigint)
   and not exists (select from tds_queue_claims c where c.entity_key = w.entity_key offset 0)
   and not exists (select from tds_queue_waiting b
     where b.entity_key = w.entity_key and b.arrival < w.arrival and not b.due offset 0)
   and not (select paused from tds_queue_state)
 order by priority, arrival limit $1)
union all
(select id || '_' || arrival || '_' || extract(epoch from run_at), arrival, entity_key, priority,
   extract(epoch from run_at - clock_timestamp())::float8 * 1000
 from tds_queue_waiting
 where not due and not suspect and not held and run_at < statement_timestamp() + $4 * interval '1 second'
 order by run_at limit $1)`;
