import type { ClientBase } from 'pg';
import type { Announcement } from './bullmq.ts';
import { type LowWater, newLowWater, refreshLowWater } from './claim.ts';

/** So many events stand announced at most: a backlog of millions stays in PostgreSQL and costs Redis 2 MB. */
const WINDOW = 2000;
/** What still waits after so long is announced again, in case Redis lost it. */
const FORGET_MS = 5000;
const LOW_WATER_MS = 250;
/** Events due so soon are announced ahead, so that they run on the millisecond. */
const HORIZON_SECONDS = 5;

/**
 * Decides what to announce: the first events, in the order of the queue, of entities that nobody works on. It
 * remembers what it announced only while it still waits, so Redis is rebuilt from PostgreSQL within FORGET_MS,
 * whatever it lost.
 */
export class Relay {
  readonly #low: LowWater = newLowWater();
  #lowSetAt = 0;
  #announced = new Map<string, number>();

  /** What waits and has not been announced of late. */
  async waiting(client: ClientBase): Promise<Announcement[]> {
    const now = performance.now();
    await this.#refreshLow(client, now);
    const { rows } = await client.query<Row>({
      name: 'announce',
      text: ANNOUNCE,
      values: [WINDOW, this.#low.priority, this.#low.arrival, this.#low.claimXid, HORIZON_SECONDS],
    });
    const first = rows.find((row) => row.delay_ms === null);
    if (first) Object.assign(this.#low, { priority: first.priority, arrival: first.arrival });
    return this.#notYetAnnounced(firstOfEach(rows), now);
  }

  // As in claim.ts: a scan from the very beginning reads the index entries of every event that passed.
  async #refreshLow(client: ClientBase, now: number): Promise<void> {
    if (now - this.#lowSetAt < LOW_WATER_MS) return;
    await refreshLowWater(client, this.#low);
    this.#lowSetAt = now;
  }

  #notYetAnnounced(waiting: Announcement[], now: number): Announcement[] {
    const before = this.#announced;
    const announcedAt = ({ jobId }: Announcement) => {
      const at = before.get(jobId);
      return at !== undefined && now - at < FORGET_MS ? at : now;
    };
    this.#announced = new Map(waiting.map((announcement) => [announcement.jobId, announcedAt(announcement)]));
    return waiting.filter(({ jobId }) => this.#announced.get(jobId) === now);
  }
}

type Row = {
  queue_id: string;
  arrival: string;
  entity_key: string;
  priority: number;
  /** Null: may run now. */
  delay_ms: number | null;
  run_at: string | null;
};

/** One announcement per entity: whoever receives it takes the entity's events in their order. */
function firstOfEach(rows: Row[]): Announcement[] {
  const byEntity = new Map<string, Announcement>();
  for (const row of rows) {
    if (byEntity.has(row.entity_key)) continue;
    byEntity.set(row.entity_key, {
      // With run_at: an event that is told to run now must not be taken for the one announced for later.
      jobId: [row.queue_id, row.arrival, row.run_at ?? 'now'].join('_'),
      entityKey: row.entity_key,
      priority: row.priority,
      delayMs: row.delay_ms === null ? 0 : Math.max(1, Math.ceil(row.delay_ms)),
    });
  }
  return [...byEntity.values()];
}

// An entity with a delayed event waits for it; one with an event in hand is looked at by its worker at the end.
const ANNOUNCE = `
(select queue_id, arrival, entity_key, priority, null::float8 as delay_ms, null as run_at
 from tds_queue_ready r
 where (priority, arrival) >= ($2::int, $3::bigint) and not alone
   and entity_key <> all (array(select unnest(entity_keys) from tds_queue_claims where claim_xid >= $4::bigint))
   and not exists (select from tds_queue_delayed d where d.entity_key = r.entity_key)
   and not (select paused from tds_queue_state)
 order by priority, arrival limit $1)
union all
(select queue_id, arrival, entity_key, priority, extract(epoch from run_at - clock_timestamp())::float8 * 1000,
   (extract(epoch from run_at) * 1000)::bigint::text
 from tds_queue_delayed
 where run_at < statement_timestamp() + $5 * interval '1 second' and not alone
 order by run_at limit $1)`;
