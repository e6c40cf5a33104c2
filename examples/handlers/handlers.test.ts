// Run with: DATABASE_URL=… /opt/tds_core/bin/node --import /opt/tds_core/src/handlers/preload.ts --test
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, test } from 'node:test';
import { sql } from 'tds-core';
import { handlerEvent, runHandler } from 'tds-core/testing';
import contactChanges from './contact-changes.ts';
import openInvoices from './open-invoices.ts';

const databaseUrl = process.env.DATABASE_URL ?? '';

test('an invoice that is still to be paid is listed', async () => {
  await runHandler(openInvoices, [handlerEvent({ entityId: '1' })], {
    databaseUrl,
    prepare: (trx) =>
      sql`insert into books_records (organization_id, module, entity_id, record)
          values ('10234695', 'invoice', '1', '{"invoice_id": "1", "status": "sent", "balance": 12.5}')`.execute(trx),
    inspect: async (trx) => {
      const { rows } = await sql`select invoice_id, balance from shop.open_invoices`.execute(trx);
      assert.deepEqual(rows, [{ invoice_id: '1', balance: '12.5' }]);
    },
  });
});

test('every change of a contact is written down', async () => {
  const events = ['1', '2'].map((entityId) => handlerEvent({ eventType: 'contact.updated', entityId }));
  await runHandler(contactChanges, events, {
    databaseUrl,
    inspect: async (trx) => {
      const { rows } = await sql`select contact_id from shop.contact_changes order by contact_id`.execute(trx);
      assert.deepEqual(rows, [{ contact_id: '1' }, { contact_id: '2' }]);
    },
  });
});

const stops: (() => unknown)[] = [];
afterEach(() => {
  for (const stop of stops.splice(0)) stop();
});

/** A stand-in for the shipping service. */
async function shipping(listener: RequestListener): Promise<void> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  stops.push(() => server.close());
  process.env.SHIPPING_URL = `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`;
}

test('an order is placed with its idempotency key', async () => {
  const keys: unknown[] = [];
  await shipping((request, response) => {
    keys.push(request.headers['idempotency-key']);
    response.end();
  });
  const { default: shipOrder } = await import('./ship-order.ts');
  const order = handlerEvent({ eventType: 'salesorder.created', payload: { salesorder_number: 'SO-1' } });
  await runHandler(shipOrder, [order], { databaseUrl });
  assert.deepEqual(keys, [order.idempotencyKey]);
  await assert.rejects(
    runHandler(shipOrder, [handlerEvent({ eventType: 'salesorder.created', payload: {} })], { databaseUrl }),
    { tag: 'ValidationError', permanent: true },
  );
});
