import { defineHandler, TaggedError } from 'tds-core';
import { refusal } from './http-errors.ts';

const SHIPPING_URL = process.env.SHIPPING_URL ?? 'https://shipping.example.com/orders';

/** Tells the shipping service of each new sales order. */
export default defineHandler({
  eventTypes: ['salesorder.created'],
  timeoutMs: 10_000,
  rateLimit: { max: 100, durationMs: 60_000 },
  async handle(event, ctx) {
    const order = event.payload as { salesorder_number?: string };
    if (!order.salesorder_number) throw new TaggedError('ValidationError', 'the sales order has no number');

    const answer = await fetch(SHIPPING_URL, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': event.idempotencyKey },
      body: JSON.stringify({ number: order.salesorder_number }),
      signal: ctx.signal,
    });
    if (!answer.ok) throw refusal('shipping', answer);
    ctx.log.info({ component: 'shipping', entity_id: event.entityId }, 'order placed');
  },
});
