/** The few requests that the demo makes of a running TDS Core. */
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Config } from '../src/config.ts';
import { baseUrl } from '../src/launcher/banner.ts';
import type { Delivery } from './deliveries.ts';

export type Sent = { title: string; eventId: string | undefined; outcome: string };
export type Event = { id: string; status: string; attempt_count: number };
export type DeadLetter = { id: string; event_id: string; last_error: string };

const TIMEOUT_MS = 10_000;

export class Client {
  readonly base: string;
  readonly #config: Config;
  readonly #token: string | undefined;
  readonly #stopped: AbortSignal;

  constructor(config: Config, env: NodeJS.ProcessEnv, stopped: AbortSignal) {
    this.base = baseUrl(config);
    this.#config = config;
    this.#token = operatorToken(env);
    this.#stopped = stopped;
  }

  /** True when requests to the dashboard need a token. */
  get needsToken(): boolean {
    return this.#token !== undefined;
  }

  /** Sends a delivery with every proof the configuration has. Throws with the API's own words when it is refused. */
  async send({ title, path, contentType, body }: Delivery): Promise<Sent> {
    const headers = { 'content-type': contentType, ...this.#proofs(contentType, body) };
    const answer = await this.#request(`/webhooks/zoho-books/${path}`, { method: 'POST', headers, body });
    const { event_id: eventId, status, duplicate } = answer as Record<string, string | undefined>;
    if (!eventId) return { title, eventId, outcome: 'answered, nothing to store' };
    return { title, eventId, outcome: duplicate ? 'already here' : String(status) };
  }

  /** The latest events, newest first. */
  recentEvents(): Promise<Event[]> {
    return this.#request('/dashboard/recent-events?limit=200', this.#asOperator()) as Promise<Event[]>;
  }

  deadLetters(): Promise<DeadLetter[]> {
    return this.#request('/dashboard/dead-letter?limit=200', this.#asOperator()) as Promise<DeadLetter[]>;
  }

  #proofs(contentType: string, body: string): Record<string, string> {
    const [secret] = this.#config.webhookSecrets;
    const [token] = this.#config.webhookToken;
    return {
      ...(secret ? { 'x-zoho-webhook-signature': sign(secret, contentType, body) } : {}),
      ...(token ? { 'x-zoho-webhook-token': token } : {}),
    };
  }

  #asOperator(): RequestInit {
    return this.#token ? { headers: { authorization: `Bearer ${this.#token}` } } : {};
  }

  async #request(path: string, init: RequestInit): Promise<unknown> {
    const signal = AbortSignal.any([this.#stopped, AbortSignal.timeout(TIMEOUT_MS)]);
    const answer = await fetch(this.base + path, { ...init, signal });
    const body = (await answer.json()) as { detail?: string };
    if (!answer.ok) throw new Error(`${path.split('?', 1)} answered ${answer.status}: ${body.detail}`);
    return body;
  }
}

/** Zoho's scheme: the raw body; of a form instead its pairs, decoded, sorted by key, without separators. */
function sign(secret: string, contentType: string, body: string): string {
  const isForm = contentType.startsWith('application/x-www-form-urlencoded');
  const pairs = isForm ? [...new URLSearchParams(body)].sort(([a], [b]) => (a < b ? -1 : 1)) : [];
  const signed = isForm ? pairs.flat().join('') : body;
  return createHmac('sha256', secret).update(signed).digest('hex');
}

/** The first token of OPERATOR_TOKENS or its file: configuration keeps only hashes of them. */
function operatorToken({ OPERATOR_TOKENS: list, OPERATOR_TOKENS_FILE: file }: NodeJS.ProcessEnv): string | undefined {
  const text = list ?? (file && readFileSync(file, 'utf8'));
  const entry = text?.split(/[,\n]/).find((line) => line.trim() !== '' && !line.trim().startsWith('#'));
  return entry?.trim().split(':').slice(2).join(':');
}
