/** Sends the webhooks that changes of the stand-in's books would cause, as unreliably as Zoho may. */
import { createHmac } from 'node:crypto';
import type { Random } from '../faults/random.ts';
import type { Books, Change } from './books.ts';
import { SHAPES, zohoTime } from './render.ts';

export type SenderOptions = {
  /** Base of the receiver, such as http://127.0.0.1:8000. */
  url: string;
  organizationId: string;
  secret?: string;
  random: Random;
  /** Shares of all webhooks, from 0 to 1. */
  dropped?: number;
  doubled?: number;
  /** Sent before the one that should have gone first. */
  reordered?: number;
  /** Bodies with some fields only, as hand-written templates send them. */
  partial?: number;
};

type Delivery = { change: Change; body: string };

export class WebhookSender {
  readonly #books: Books;
  readonly #options: SenderOptions;
  #next = 0;
  /** Changes that were never announced. */
  readonly dropped: Change[] = [];
  readonly partial: Change[] = [];
  readonly announced: Change[] = [];
  sent = 0;

  constructor(books: Books, options: SenderOptions) {
    this.#books = books;
    this.#options = options;
    this.#next = books.changes.length;
  }

  /** Sends what happened since the last call, some of it wrongly; resolves when all are answered with 202. */
  async flush(): Promise<void> {
    for (const delivery of this.#deliveries()) await this.#send(delivery);
  }

  #deliveries(): Delivery[] {
    const { random, dropped = 0, doubled = 0, reordered = 0, partial = 0 } = this.#options;
    const changes = this.#books.changes.slice(this.#next);
    this.#next = this.#books.changes.length;
    const deliveries: Delivery[] = [];
    for (const change of changes) {
      if (random.chance(dropped)) {
        this.dropped.push(change);
        continue;
      }
      this.announced.push(change);
      const isPartial = change.action !== 'deleted' && random.chance(partial);
      if (isPartial) this.partial.push(change);
      const delivery = { change, body: this.#body(change, isPartial) };
      if (random.chance(reordered)) deliveries.splice(-1, 0, delivery);
      else deliveries.push(delivery);
      if (random.chance(doubled)) deliveries.push(delivery);
    }
    return deliveries;
  }

  /** The default payload: the full record under its key; of a deletion the id alone. */
  #body({ entry, action }: Change, partial: boolean): string {
    const { detailKey, idField, detailTimeField } = SHAPES[entry.kind];
    if (action === 'deleted') return JSON.stringify({ [detailKey]: { [idField]: entry.id } });
    if (!partial) return `{"${detailKey}":${this.#books.detail(entry)}}`;
    const fields = { [idField]: entry.id, status: 'sent', [detailTimeField]: zohoTime(entry.changedAt) };
    return JSON.stringify({ [detailKey]: fields });
  }

  async #send({ change, body }: Delivery): Promise<void> {
    const { url, organizationId, secret } = this.#options;
    const signature = secret && createHmac('sha256', secret).update(body).digest('hex');
    const answer = await fetch(`${url}/webhooks/zoho-books/${organizationId}/${change.entry.kind}/${change.action}`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(signature ? { 'x-zoho-webhook-signature': signature } : {}),
      },
      body,
    });
    if (answer.status !== 202) throw new Error(`a webhook was answered ${answer.status}: ${await answer.text()}`);
    await answer.body?.cancel();
    this.sent += 1;
  }
}
