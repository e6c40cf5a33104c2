import { createHmac } from 'node:crypto';
import { parseDelivery } from '../src/inbox/parse.ts';
import type { Arrival } from '../src/inbox/store.ts';

/** Bytes of the JSON text of one invoice: what "payload of 1.5 KB" means in this bench. */
export const PAYLOAD_BYTES = 1500;

const ORGANIZATION = '600012345';
const FIRST_ID = 982_000_000_567_001n;
const START = Date.parse('2026-01-01T00:00:00Z');
const HOT_ENTITIES = 50;

/** The JSON text of an invoice as Zoho Books sends it, exactly `bytes` long; every `n` is another version. */
export function invoice(n: number, entity = n, bytes = PAYLOAD_BYTES): string {
  const lines = [1, 2, 3].map((line) => ({
    line_item_id: `${FIRST_ID + BigInt(n * 10 + line)}`,
    item_id: `${FIRST_ID + BigInt(line)}`,
    name: `Steel bracket ${line}`,
    rate: 12.5 * line,
    quantity: line,
    unit: 'pcs',
    tax_percentage: 18,
    item_total: 12.5 * line * line,
  }));
  const text = JSON.stringify({
    invoice_id: `${FIRST_ID + BigInt(entity)}`,
    invoice_number: `INV-${String(entity).padStart(7, '0')}`,
    status: 'sent',
    customer_id: `${FIRST_ID - BigInt(1 + (entity % 997))}`,
    customer_name: 'Anchor Trading Company',
    date: '2026-01-01',
    due_date: '2026-01-31',
    currency_code: 'INR',
    line_items: lines,
    total: 175,
    balance: 175,
    last_modified_time: new Date(START + n * 1000).toISOString(),
    notes: '',
  });
  const missing = bytes - text.length;
  const note = missing <= NOTE.length ? NOTE : NOTE.repeat(Math.ceil(missing / NOTE.length));
  return `${text.slice(0, -2)}${note.slice(0, missing)}"}`;
}

// Not one letter repeated: PostgreSQL's compression would store that as nothing.
const NOTE = Array.from({ length: 150 }, (_, i) => ((i * 2_654_435_761) % 4_294_967_296).toString(36)).join(' ');

/** The body of a webhook: the record in its wrapper. */
export function body(n: number, entity = n, bytes = PAYLOAD_BYTES): string {
  return `{"invoice":${invoice(n, entity, bytes)}}`;
}

/** Entity of event `n` where `sharedPercent` of the events belong to 50 busy entities, the rest each to its own. */
export function entityOf(n: number, sharedPercent: number): number {
  const shared = (n * 7919) % 100 < sharedPercent;
  return shared ? n % HOT_ENTITIES : HOT_ENTITIES + n;
}

/** A delivery as the webhook route hands it to the inbox. */
export function arrival(n: number, entity = n, payloadBytes = PAYLOAD_BYTES): Arrival {
  const bytes = Buffer.from(body(n, entity, payloadBytes));
  const contentType = 'application/json';
  const parsed = parseDelivery({
    ...{ body: bytes, contentType, method: 'POST', organizationId: ORGANIZATION, defaultOrganization: ORGANIZATION },
    ...{ module: 'invoice', action: 'upsert' },
  });
  if (parsed.kind !== 'delivery') throw new Error(`the bench's own invoice was not understood: ${parsed.kind}`);
  return { parsed, body: bytes, contentType, method: 'POST', path: WEBHOOK_PATH, userAgent: 'bench', ip: '127.0.0.1' };
}

export const WEBHOOK_PATH = `/webhooks/zoho-books/${ORGANIZATION}/invoice/upsert`;

export const SECRET = 'a-secret-for-the-bench';

/** A whole signed HTTP/1.1 request for event `n`, as bytes. */
export function webhookRequest(n: number): Buffer {
  const text = body(n);
  const signature = createHmac('sha256', SECRET).update(text).digest('hex');
  const head = [
    `POST ${WEBHOOK_PATH} HTTP/1.1`,
    'Host: 127.0.0.1',
    'Content-Type: application/json',
    `Content-Length: ${Buffer.byteLength(text)}`,
    `X-Zoho-Webhook-Signature: ${signature}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${text}`);
}
