import type { ServerResponse } from 'node:http';
import type { FastifyRequest, RequestPayload } from 'fastify';
import type { Api } from './deps.ts';
import { Problem, unavailable } from './problem.ts';

declare module 'fastify' {
  interface FastifyInstance {
    bodies: BodyBudget;
  }
  interface FastifyRequest {
    /** Node's answer to this request: when it closes, nobody needs the body any more. */
    answer: ServerResponse | null;
  }
}

/** Bytes of bodies that all requests together may hold, from the first one read until the answer is sent. */
export const MAX_BYTES_IN_FLIGHT = 64 * 1024 * 1024;

/** An honest body arrives in one go; one that takes longer than this gives way when somebody else needs the room. */
const PATIENCE_MS = 500;
const RETRY_AFTER_SECONDS = 1;

export type BodyLimits = {
  /** Largest body, in bytes. */
  limit: number;
  /** The request carries something that may prove who it comes from: it goes before those that carry nothing. */
  hasProof: boolean;
};

/** A body that has room reserved. */
type Holding = {
  bytes: number;
  since: number;
  hasProof: boolean;
  /** Ends a body that is still arriving; null once it is complete. */
  evict: (() => void) | null;
};

/**
 * Reads the bodies of all requests within one bound of memory. Room is reserved before the first byte is read: for the
 * announced length, or for the limit where none is announced. When there is none, bodies that have been arriving for too
 * long give way, those without a proof first; else the newcomer gets 503 at once.
 */
export class BodyBudget {
  readonly #max: number;
  readonly #now: () => number;
  /** In the order in which they began. */
  readonly #holdings = new Set<Holding>();
  #bytes = 0;

  /** @param now milliseconds of a clock that never goes back; for tests */
  constructor(max = MAX_BYTES_IN_FLIGHT, now: () => number = () => performance.now()) {
    this.#max = max;
    this.#now = now;
  }

  /** Bytes reserved at this moment. */
  get bytesInFlight(): number {
    return this.#bytes;
  }

  /**
   * The bytes of a request's body. They count until the answer is on its way or the client is gone.
   * Throws a 413 for more than `limit`, a 503 when there is no room, a 400 when the body breaks off.
   */
  async read(request: FastifyRequest, payload: RequestPayload, { limit, hasProof }: BodyLimits): Promise<Buffer> {
    const announced = announcedLength(request);
    if (announced !== undefined && announced > limit) throw tooLarge(limit);
    const holding = this.#reserve(announced ?? limit, hasProof);
    request.answer?.once('close', () => this.#release(holding));
    const body = await collect(payload, holding, limit).catch((problem) => {
      this.#release(holding);
      throw problem;
    });
    holding.evict = null;
    this.#shrink(holding, body.length);
    return body;
  }

  #reserve(bytes: number, hasProof: boolean): Holding {
    if (!this.#makeRoom(bytes, hasProof)) throw noRoom();
    const holding: Holding = { bytes, since: this.#now(), hasProof, evict: null };
    this.#holdings.add(holding);
    this.#bytes += bytes;
    return holding;
  }

  /** Evicts until there is room. False, and nobody is evicted, when even that would not suffice. */
  #makeRoom(bytes: number, hasProof: boolean): boolean {
    let missing = this.#bytes + bytes - this.#max;
    if (missing <= 0) return true;
    const victims: Holding[] = [];
    for (const holding of this.#candidates(hasProof)) {
      victims.push(holding);
      missing -= holding.bytes;
      if (missing <= 0) break;
    }
    if (missing > 0) return false;
    for (const victim of victims) {
      victim.evict?.();
      this.#release(victim);
    }
    return true;
  }

  /** Unfinished bodies that may be ended for a newcomer: those without a proof first, then those that began first. */
  #candidates(hasProof: boolean): Holding[] {
    const latest = this.#now() - PATIENCE_MS;
    const unfinished = [...this.#holdings].filter(({ evict }) => evict !== null);
    const unproved = unfinished.filter((one) => !one.hasProof && (hasProof || one.since <= latest));
    const proved = hasProof ? unfinished.filter((one) => one.hasProof && one.since <= latest) : [];
    return [...unproved, ...proved];
  }

  #shrink(holding: Holding, bytes: number): void {
    if (!this.#holdings.has(holding)) return;
    this.#bytes += bytes - holding.bytes;
    holding.bytes = bytes;
  }

  #release(holding: Holding): void {
    if (this.#holdings.delete(holding)) this.#bytes -= holding.bytes;
  }
}

/** Gathers a body until its end; a longer one than `limit`, a broken one and an evicted one reject. */
function collect(payload: RequestPayload, holding: Holding, limit: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let received = 0;
  const take = (chunk: Buffer) => {
    received += chunk.length;
    if (received > limit) fail(tooLarge(limit));
    else chunks.push(chunk);
  };
  const fail = (problem: Problem) => {
    payload.off('data', take);
    chunks.length = 0;
    // What still comes is thrown away, so that it fills no buffer until the connection is closed.
    payload.resume();
    reject(problem);
  };
  holding.evict = () => fail(tooSlow());
  payload.on('data', take);
  payload.once('end', () => resolve(Buffer.concat(chunks, received)));
  payload.once('error', () => fail(brokenOff()));
  payload.once('close', () => fail(brokenOff()));
  return promise;
}

/** Gives the API one budget for all its bodies, at `api.bodies`. */
export function limitBodies(api: Api): void {
  api.decorate('bodies', new BodyBudget());
  api.decorateRequest('answer', null);
  api.addHook('preParsing', (request, reply, payload, done) => {
    request.answer = reply.raw;
    done(null, payload);
  });
}

function announcedLength({ headers }: FastifyRequest): number | undefined {
  const text = headers['content-length'];
  return text === undefined ? undefined : Number(text);
}

/** Closed, because the client goes on sending what nobody wants. */
function tooLarge(limit: number): Problem {
  const detail = `The body is larger than the ${limit} bytes this route accepts. Send less.`;
  return new Problem(413, 'payload_too_large', detail, { connection: 'close' });
}

function noRoom(): Problem {
  return unavailable(
    'too_busy',
    'Too many bodies are arriving at once. Send it again in a moment.',
    RETRY_AFTER_SECONDS,
  );
}

function tooSlow(): Problem {
  const detail = 'The body arrived too slowly while many others waited. Send it again in one go.';
  const { headers } = unavailable('too_slow', detail, RETRY_AFTER_SECONDS);
  return new Problem(503, 'too_slow', detail, { ...headers, connection: 'close' });
}

function brokenOff(): Problem {
  return new Problem(400, 'incomplete_body', 'The body broke off before its end.');
}
