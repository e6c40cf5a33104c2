/** The other side: Zoho Books as a client that signs, sends, repeats what was not accepted, and remembers every answer. */
import { createHmac } from 'node:crypto';
import http from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

export const SECRET = 'a secret of the fault tests';

export type Delivery = {
  /** Names the delivery in effects and ledger: one effect per key, however often it is sent. */
  key: string;
  module: string;
  entityId: string;
  /** What the test handler shall do: see behaviour.ts. */
  fault?: Record<string, unknown>;
  /** Extra fields of the record. */
  fields?: Record<string, unknown>;
};

/** One answer; status 0 is a connection error. */
export type Answer = {
  status: number;
  eventId: string | undefined;
  duplicate: boolean;
  ms: number;
  retryAfter: boolean;
};
export type Entry = { delivery: Delivery; body: string; answers: Answer[]; eventIds: Set<string> };

const REPEAT_AFTER_MS = 150;
const REQUEST_TIMEOUT_MS = 20_000;
const CONCURRENCY = 12;
/** Zoho sends some deliveries twice without being asked. */
const SPONTANEOUS_REPEATS = 0.1;

export class Sender {
  readonly ledger: Entry[] = [];
  readonly #ports: number[];
  readonly #agent = new http.Agent({ keepAlive: true, maxSockets: CONCURRENCY });
  #clock = Date.UTC(2026, 0, 1);
  #requests = 0;
  #closed = false;

  /** @param ports of the APIs, which are used in turn */
  constructor(ports: number[]) {
    this.#ports = ports;
  }

  /** Sends all, evenly over `spreadMs`, each until it is accepted. */
  async sendAll(deliveries: Delivery[], spreadMs: number, random: { chance(p: number): boolean }): Promise<void> {
    const queue = deliveries.map((delivery, index) => ({
      entry: this.enter(delivery),
      at: performance.now() + (spreadMs * index) / deliveries.length,
      twice: random.chance(SPONTANEOUS_REPEATS),
    }));
    await Promise.all(Array.from({ length: CONCURRENCY }, () => this.#work(queue)));
  }

  /** The answers of all deliveries since the ledger was cleared. */
  get answers(): Answer[] {
    return this.ledger.flatMap((entry) => entry.answers);
  }

  get acknowledged(): Entry[] {
    return this.ledger.filter((entry) => entry.eventIds.size > 0);
  }

  close(): void {
    this.#closed = true;
    this.#agent.destroy();
  }

  /** One attempt at one delivery. */
  async attempt(entry: Entry): Promise<Answer> {
    const since = performance.now();
    const answer = await this.#post(entry).catch(() => ({ status: 0, body: '', retryAfter: false }));
    const { event_id: eventId, duplicate = false } = answer.status === 202 ? JSON.parse(answer.body) : {};
    const ms = performance.now() - since;
    const remembered = { status: answer.status, eventId, duplicate, ms, retryAfter: answer.retryAfter };
    entry.answers.push(remembered);
    if (eventId) entry.eventIds.add(eventId);
    return remembered;
  }

  /** Sends until it is accepted, or the sender is closed. */
  async insist(entry: Entry): Promise<void> {
    while (!this.#closed && (await this.attempt(entry)).status !== 202) await sleep(REPEAT_AFTER_MS);
  }

  /** Begins the ledger's entry of a delivery, which is not sent yet. */
  enter(delivery: Delivery): Entry {
    this.#clock += 1000;
    const record = {
      [`${delivery.module}_id`]: delivery.entityId,
      last_modified_time: new Date(this.#clock).toISOString(),
      fault_key: delivery.key,
      fault: delivery.fault ?? {},
      ...delivery.fields,
    };
    const entry = {
      delivery,
      body: JSON.stringify({ [delivery.module]: record }),
      answers: [],
      eventIds: new Set<string>(),
    };
    this.ledger.push(entry);
    return entry;
  }

  async #work(queue: { entry: Entry; at: number; twice: boolean }[]): Promise<void> {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const wait = next.at - performance.now();
      if (wait > 0) await sleep(wait);
      await this.insist(next.entry);
      if (next.twice) await this.attempt(next.entry);
    }
  }

  #post({ delivery, body }: Entry): Promise<{ status: number; body: string; retryAfter: boolean }> {
    const headers = {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'x-zoho-webhook-signature': createHmac('sha256', SECRET).update(body).digest('hex'),
    };
    const path = `/webhooks/zoho-books/10234695/${delivery.module}/updated`;
    return new Promise((resolve, reject) => {
      const options = {
        port: this.#ports[this.#requests++ % this.#ports.length],
        path,
        method: 'POST',
        headers,
        agent: this.#agent,
        timeout: REQUEST_TIMEOUT_MS,
      };
      const request = http.request({ host: '127.0.0.1', ...options }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const retryAfter = response.headers['retry-after'] !== undefined;
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString(), retryAfter });
        });
      });
      request.on('timeout', () => request.destroy(new Error('no answer')));
      request.on('error', reject);
      request.end(body);
    });
  }
}
