import { defineHandler, sql } from 'tds-core';

/** Writes down when each contact changed: one statement for a whole set of events. */
export default defineHandler({
  eventTypes: ['contact.*'],
  async handleBatch(events, ctx) {
    const rows = events.map(({ id, entityId, receivedAt }) => ({
      event_id: id,
      contact_id: entityId,
      received_at: receivedAt,
    }));
    await sql`
      insert into shop.contact_changes (event_id, contact_id, received_at)
      select event_id, contact_id, received_at
      from jsonb_to_recordset(${JSON.stringify(rows)}::jsonb)
        as changed (event_id uuid, contact_id text, received_at timestamptz)`.execute(ctx.trx);
    return undefined;
  },
});
