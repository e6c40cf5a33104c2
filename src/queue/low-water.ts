import type { ClientBase } from 'pg';

export type Place = { priority: number; arrival: string };

/**
 * Where the claim starts to look. While another session holds an old snapshot, the index keeps an entry for every
 * event that passed since, and a claim that starts at the beginning reads them all (measured: 650 buffers, not 5).
 * Marks may lag behind but never lead: they are set back for events that return to an old place, also while a claim
 * is under way that did not see them yet. Where priorities differ they may lead until the next refresh, as an event can
 * be claimed for the sake of a more urgent one behind it; no order depends on them.
 */
export type LowWater = Place & {
  claimXid: string;
  underway: Set<Note>;
  /** Priorities differ, or a suspect of a crash waits: claim-set.ts has to leave it to claim.ts. */
  mixed: boolean;
};
type Note = { backTo?: Place };

const BEGINNING: Place = { priority: -2147483648, arrival: '0' };

export function newLowWater(): LowWater {
  return { ...BEGINNING, claimXid: '0', underway: new Set(), mixed: false };
}

/** Runs a claim from the marks on, and moves them to the first event it got. */
export async function claimFrom<T extends Place>(low: LowWater, run: () => Promise<T[]>): Promise<T[]> {
  const note: Note = {};
  low.underway.add(note);
  const events = await run().finally(() => low.underway.delete(note));
  if (events[0]) advance(low, events[0], note.backTo);
  return events;
}

/** To the first of a claim, not the last: a batch that is being committed right now may hold lower arrivals. */
function advance(low: LowWater, first: Place, backTo: Place = first): void {
  const { priority, arrival } = byPlace(backTo, first) < 0 ? backTo : first;
  Object.assign(low, { priority, arrival });
}

export function byPlace(a: Place, b: Place): number {
  const byArrival = a.arrival.length - b.arrival.length || (a.arrival < b.arrival ? -1 : Number(a.arrival > b.arrival));
  return a.priority - b.priority || byArrival;
}

/**
 * Sets the marks back to an event that has ended: later ones of its entity, passed over while it ran, may stand before
 * them. Without it such an entity went on only at the next refresh, one event a second.
 */
export function lookAgainFrom(low: LowWater, { priority, arrival }: Place): void {
  const place = { priority, arrival };
  if (byPlace(place, low) < 0) Object.assign(low, place);
  for (const note of low.underway) if (!note.backTo || byPlace(place, note.backTo) < 0) note.backTo = place;
}

/** Sets the marks back to the beginning, and to the oldest claim that is held or may still be committed. */
export async function refreshLowWater(client: ClientBase, low: LowWater): Promise<void> {
  const { rows } = await client.query<{ claim_xid: string }>(
    `select least(pg_snapshot_xmin(pg_current_snapshot())::text::bigint, (select min(claim_xid) from tds_queue_claims)) as claim_xid`,
  );
  low.claimXid = rows[0]?.claim_xid ?? '0';
  low.mixed = false;
  lookAgainFrom(low, BEGINNING);
}
