/** Sends deliveries as Zoho Books does, and asks what became of them. */
import { waitFor } from '../helper.ts';
import type { System } from '../system.ts';

export type Delivery = {
  /** Text, or an object that is sent as JSON. */
  body: string | Buffer | object;
  /** What follows /webhooks/zoho-books, such as `/60000000001/invoice/updated?`. */
  to?: string;
  method?: string;
  contentType?: string;
};

export type Receipt = { status: number; event_id: string; duplicate: boolean; state: string };

export const FORM = 'application/x-www-form-urlencoded;charset=UTF-8';

/** Delivers to the API, whose answer must be a 2xx. */
export async function deliver({ api }: Pick<System, 'api'>, delivery: Delivery): Promise<Receipt> {
  const { body, to = '', method = 'POST', contentType = 'application/json' } = delivery;
  const answer = await fetch(`${api.url}/webhooks/zoho-books${to}`, {
    method,
    headers: { 'content-type': contentType },
    body: typeof body === 'string' || Buffer.isBuffer(body) ? new Uint8Array(Buffer.from(body)) : JSON.stringify(body),
  });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${method} ${to} was answered with ${answer.status}: ${text}`);
  const { event_id, duplicate, status: state } = JSON.parse(text);
  return { status: answer.status, event_id, duplicate, state };
}

/** Asks the API for JSON; a request that fails throws. */
export async function ask<T>({ api }: Pick<System, 'api'>, path: string, method = 'GET'): Promise<T> {
  const answer = await fetch(api.url + path, { method });
  if (!answer.ok) throw new Error(`${method} ${path} was answered with ${answer.status}: ${await answer.text()}`);
  return (await answer.json()) as T;
}

/** Waits until nothing is left to do: every event is completed or a dead letter. */
export async function settled(system: System, timeoutMs?: number): Promise<void> {
  const isIdle = async () => {
    const stats = await ask<Record<string, number>>(system, '/dashboard/queue-stats');
    return stats.pending === 0 && stats.processing === 0 && stats.retry === 0;
  };
  await waitFor('the queue to be empty', isIdle, timeoutMs);
}

/** Delivers one after the other, each when the one before is done. */
export async function deliverInOrder(system: System, ...deliveries: Delivery[]): Promise<Receipt[]> {
  const receipts = [];
  for (const delivery of deliveries) {
    receipts.push(await deliver(system, delivery));
    await settled(system);
  }
  return receipts;
}

export type Mirrored = { module: string; entity_id: string; version: Date | null; deleted: boolean; record: string };

/** The mirrored rows of an organization; records as the text of jsonb, which keeps every digit. */
export async function mirrored({ pool }: Pick<System, 'pool'>, organization: string): Promise<Mirrored[]> {
  const { rows } = await pool.query<Mirrored>(
    `select module, entity_id, version, deleted_at is not null as deleted, record::text as record
     from books_records where organization_id = $1 order by module, entity_id`,
    [organization],
  );
  return rows;
}

/** The text that PostgreSQL makes of JSON: equal texts mean equal keys and values, digit for digit. */
export async function asJsonb({ pool }: Pick<System, 'pool'>, json: string): Promise<string> {
  const { rows } = await pool.query<{ text: string }>('select ($1::jsonb)::text as text', [json]);
  return rows[0]?.text ?? '';
}
