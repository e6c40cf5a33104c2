/** What the tests of the mirror share: a record in three states, three versions, and ways to mirror events. */
import type { Database } from '../../src/db/database.ts';
import type { HandlerContext, QueuedEvent } from '../../src/handlers/handler.ts';
import { mirror } from '../../src/handlers/mirror.ts';
import { type InboxEvent, inboxEvent } from '../factory.ts';
import { silentLog } from '../helper.ts';

export const V1 = '2026-06-09T09:46:25-0400';
export const V2 = '2026-06-09T09:47:43-0400';
export const V3 = '2026-06-09T09:48:00-0400';
/** Zoho says 09:47:43 for whatever happens until 09:47:44. */
export const WITHIN_V2 = '2026-06-09T09:47:43.250-0400';
export const AFTER_V2 = '2026-06-09T09:47:50-0400';
export const LATER = '2026-06-09T10:00:00-0400';

/** With every field that a full invoice has. */
export const draft = {
  ...{ invoice_id: '1', invoice_number: 'INV-1', date: '2026-06-09', customer_id: '2' },
  ...{ status: 'draft', total: 598, balance: 598, line_items: [{ line_item_id: '3', quantity: 2 }] },
};
export const sent = { ...draft, status: 'sent' };
export const paid = { ...draft, status: 'paid' };

let ids = 0;
export const newId = () => String(3950000000203000 + ++ids);

/** The ways to mirror events in one database. */
export function mirroring(db: Database) {
  async function handle(events: QueuedEvent[], trx?: HandlerContext['trx']): Promise<(string | undefined)[]> {
    if (!trx) return db.transaction().execute((own) => handle(events, own));
    const outcomes = await mirror.handleBatch?.(events, { trx, signal: new AbortController().signal, log: silentLog });
    return events.map((event) => outcomes?.get(event.id));
  }

  async function arrive(...events: InboxEvent[]): Promise<QueuedEvent[]> {
    const queued: QueuedEvent[] = [];
    for (const event of events) queued.push(await inboxEvent(db, event));
    return queued;
  }

  /** Stores the events and mirrors them as one batch. */
  const batch = async (...events: InboxEvent[]) => handle(await arrive(...events));

  /** Mirrors the events one after the other. */
  async function oneByOne(...events: InboxEvent[]): Promise<(string | undefined)[]> {
    const outcomes = [];
    for (const event of events) outcomes.push(...(await batch(event)));
    return outcomes;
  }

  async function stored(entityId: string) {
    const row = await db.selectFrom('books_records').selectAll().where('entity_id', '=', entityId).executeTakeFirst();
    if (!row) return undefined;
    return { status: (row.record as typeof draft).status, deleted: row.deleted_at !== null, version: row.version };
  }

  /** What the row says about how far it can be trusted, and its fields. */
  async function trust(entityId: string) {
    const row = await db.selectFrom('books_records').selectAll().where('entity_id', '=', entityId).executeTakeFirst();
    if (!row) return undefined;
    return { complete: row.complete, staleSince: row.stale_since, fields: Object.keys(row.record as object).sort() };
  }

  return { handle, arrive, batch, oneByOne, stored, trust };
}
