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
/** Average size of the pieces of a body, in bytes, once there are many: networks make them of a thousand and more. */
const SMALLEST_PIECE = 64;
const FORGIVEN_PIECES = 1000;

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
   * Throws a 413 for more than `limit`, a 503 when there is no room, a 400 when it breaks off or comes in crumbs.
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
  const gathered = new Gathered();
  const take = (chunk: Buffer) => {
    if (gathered.length + chunk.length > limit) return fail(tooLarge(limit));
    gathered.add(chunk);
    if (gathered.isInCrumbs) fail(inCrumbs());
  };
  const finish = () => {
    // It closes after its end, too.
    payload.off('close', breakOff);
    resolve(gathered.bytes);
  };
  const breakOff = () => fail(brokenOff());
  const fail = (problem: Problem) => {
    payload.off('data', take).off('end', finish).off('close', breakOff);
    gathered.clear();
    // What still comes is thrown away, so that it fills no buffer until the connection is closed.
    payload.resume();
    reject(problem);
  };
  holding.evict = () => fail(tooSlow());
  payload.on('data', take).on('end', finish).on('error', breakOff).on('close', breakOff);
  return promise;
}

/**
 * Bytes that arrive in pieces. A list of the pieces would cost a hundred times their size when somebody sends them one
 * by one; this is never more than twice as large as what has arrived.
 */
class Gathered {
  #buffer: Buffer = Buffer.alloc(0);
  length = 0;
  #pieces = 0;

  /** Each piece costs about a microsecond, whatever its size: a megabyte of single bytes would block us for a second. */
  get isInCrumbs(): boolean {
    return this.#pieces > FORGIVEN_PIECES && this.length < SMALLEST_PIECE * this.#pieces;
  }

  add(piece: Buffer): void {
    if (this.length === 0)
      this.#buffer = piece; // nearly always it is the only one
    else this.#append(piece);
    this.length += piece.length;
    this.#pieces += 1;
  }

  #append(piece: Buffer): void {
    const needed = this.length + piece.length;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed, 2 * this.#buffer.length));
      this.#buffer.copy(larger);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.length);
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  clear(): void {
    this.#buffer = Buffer.alloc(0);
    this.length = 0;
  }
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

function inCrumbs(): Problem {
  const detail = 'The body arrived in too many tiny pieces. Send it in larger ones, or with a Content-Length.';
  return new Problem(400, 'too_many_pieces', detail, { connection: 'close' });
}

function brokenOff(): Problem {
  return new Problem(400, 'incomplete_body', 'The body broke off before its end.');
}
