import { parseLossless } from '../lossless.ts';

export type Method = 'GET' | 'POST';
export type Answer = { status: number; headers: Headers; text: string };
export type Send = (method: Method, path: string, body?: unknown) => Promise<Answer>;

/** The API refused: its sentence says what to do. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;

  constructor({ status, text }: Answer) {
    const problem = problemOf(text);
    super(problem?.detail ?? `The API answered ${status}, and not as TDS Core does: check TDS_URL.`);
    this.status = status;
    this.code = problem?.code ?? '';
  }
}

/** The API did not answer at all. */
export class Unreachable extends Error {}

export type Query = Record<string, string | number | boolean | undefined>;

/** How commands talk to the API: over HTTP, or to one in this process that works on the database. */
export class Transport {
  readonly #send: Send;
  readonly #close: () => Promise<void>;
  /** Streams an answer as it comes. */
  readonly stream: (path: string) => Promise<AsyncIterable<Uint8Array>>;

  constructor(parts: { send: Send; stream: Transport['stream']; close: () => Promise<void> }) {
    this.#send = parts.send;
    this.#close = parts.close;
    this.stream = parts.stream;
  }

  async get(path: string, query: Query = {}): Promise<unknown> {
    return parseLossless((await this.ask('GET', path, query)).text);
  }

  async post(path: string, query: Query = {}, body?: unknown): Promise<unknown> {
    return parseLossless((await this.ask('POST', path, query, body)).text);
  }

  /** @throws Refused when the answer is an error */
  async ask(method: Method, path: string, query: Query = {}, body?: unknown): Promise<Answer> {
    const answer = await this.#send(method, withQuery(path, query), body);
    if (answer.status >= 400) throw new Refused(answer);
    return answer;
  }

  close(): Promise<void> {
    return this.#close();
  }
}

export function withQuery(path: string, query: Query): string {
  const parts = Object.entries(query).flatMap(([name, value]) =>
    value === undefined ? [] : [[name, String(value)] as [string, string]],
  );
  return parts.length === 0 ? path : `${path}?${new URLSearchParams(parts)}`;
}

function problemOf(text: string): { detail: string; code: string } | undefined {
  try {
    const { detail, code } = JSON.parse(text);
    return typeof detail === 'string' && typeof code === 'string' ? { detail, code } : undefined;
  } catch {
    return undefined;
  }
}
