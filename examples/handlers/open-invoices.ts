import { defineHandler, sql } from 'tds-core';

/**
 * Keeps shop.open_invoices: what each customer still has to pay. It reads the mirror, not event.payload: the mirror's
 * row was written a moment ago in the same transaction, and is the newest version whichever event comes last.
 */
export default defineHandler({
  eventTypes: ['invoice.*'],
  async handle({ organizationId, entityId }, ctx) {
    await sql`
      delete from shop.open_invoices where organization_id = ${organizationId} and invoice_id = ${entityId}`.execute(
      ctx.trx,
    );
    await sql`
      insert into shop.open_invoices (organization_id, invoice_id, customer_name, balance, due_date)
      select organization_id, invoice_id, customer_name, balance, due_date
      from books_invoices
      where organization_id = ${organizationId} and invoice_id = ${entityId}
        and balance > 0 and status not in ('draft', 'void') and not deleted`.execute(ctx.trx);
  },
});
