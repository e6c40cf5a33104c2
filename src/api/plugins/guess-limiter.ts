import { isIPv6 } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FastifyRequest } from 'fastify';
import { isLoopback } from '../../loopback.ts';
import { Problem } from '../problem.ts';

/** Ten wrong tokens, then one each six seconds: a person who mistypes is not held up, a guesser has 14,400 a day. */
const BURST = 10;
const SECONDS_PER_GUESS = 6;
/** The first wrong tokens are answered at once; each further one twice as late as the one before, up to two seconds. */
const ANSWERED_AT_ONCE = 3;
const FIRST_DELAY_MS = 125;
const LONGEST_DELAY_MS = 2000;
/** Answers that wait at one time, of everybody: a thousand guessers must not fill the memory. Beyond it none waits. */
const MAX_WAITING = 200;

/** More addresses than this cannot be told apart any more; the oldest are forgotten, so that memory stays bounded. */
const MAX_ADDRESSES = 10_000;

/** Wrong tokens that an address has not yet been forgiven, as of a moment in milliseconds. */
type Debt = { guesses: number; at: number };

/**
 * Slows whoever guesses operators' tokens, per address, as a leaking bucket. Ours and not @fastify/rate-limit, because
 * that one counts requests: it cannot count only wrong tokens and yet refuse before a token is looked at.
 */
export class GuessLimiter {
  readonly #debts = new Map<string, Debt>();
  readonly #now: () => number;
  readonly #sleep: (ms: number) => Promise<unknown>;
  #waiting = 0;

  /**
   * @param now milliseconds of a clock that never goes back; for tests, as is
   * @param sleep how an answer waits
   */
  constructor(now: () => number = () => performance.now(), sleep: (ms: number) => Promise<unknown> = unhurried) {
    this.#now = now;
    this.#sleep = sleep;
  }

  /** Notes a wrong token of this address. */
  count(ip: string): void {
    const key = networkOf(ip);
    const debt = this.#debtOf(key);
    this.#debts.delete(key); // so that the one heard of longest ago stands first
    this.#debts.set(key, { guesses: debt + 1, at: this.#now() });
    const [oldest] = this.#debts.keys();
    if (this.#debts.size > MAX_ADDRESSES && oldest !== undefined) this.#debts.delete(oldest);
  }

  /** Throws a 429 with Retry-After when too many wrong tokens came from this address lately. */
  refuseWhenTooMany(ip: string): void {
    const excess = this.#debtOf(networkOf(ip)) - BURST + 1;
    if (excess <= 0) return;
    const seconds = Math.ceil(excess * SECONDS_PER_GUESS);
    const detail = `Too many wrong tokens came from your address. Try again in ${seconds} seconds.`;
    throw new Problem(429, 'too_many_wrong_tokens', detail, { 'retry-after': String(seconds) });
  }

  /**
   * Waits before a wrong token is answered, the longer the more of them came from this address. Holds nothing but a
   * timer: call it when no connection of a pool is in hand.
   */
  async slowDown(ip: string): Promise<void> {
    const further = Math.ceil(this.#debtOf(networkOf(ip))) - ANSWERED_AT_ONCE;
    if (further <= 0 || this.#waiting >= MAX_WAITING) return;
    this.#waiting += 1;
    await this.#sleep(Math.min(FIRST_DELAY_MS * 2 ** (further - 1), LONGEST_DELAY_MS)).finally(() => {
      this.#waiting -= 1;
    });
  }

  #debtOf(key: string): number {
    const debt = this.#debts.get(key);
    if (!debt) return 0;
    return Math.max(0, debt.guesses - (this.#now() - debt.at) / 1000 / SECONDS_PER_GUESS);
  }
}

/** A process that ends does not wait for it. */
function unhurried(ms: number): Promise<void> {
  return sleep(ms, undefined, { ref: false });
}

/**
 * The address that guesses are counted for. Behind a proxy on this machine that TRUST_PROXY does not name, everybody has
 * the proxy's: then the last address it forwards counts, or one guesser would lock out all operators.
 */
export function addressOf(request: FastifyRequest): string {
  const forwarded = [request.headers['x-forwarded-for'] ?? []].flat().join().split(',').at(-1)?.trim();
  return forwarded && isLoopback(request.ip) ? forwarded.slice(0, MAX_ADDRESS_LENGTH) : request.ip;
}

/** An IPv6 address with an IPv4 one in it has 45 characters. */
const MAX_ADDRESS_LENGTH = 45;

/** An IPv6 customer has 2^64 addresses: they count as one. */
function networkOf(ip: string): string {
  if (!isIPv6(ip) || ip.includes('.')) return ip;
  const [left = '', right = ''] = ip.split('::', 2);
  const groups = left === '' ? [] : left.split(':');
  const missing = 8 - groups.length - (right === '' ? 0 : right.split(':').length);
  const all = ip.includes('::') ? [...groups, ...Array(Math.max(0, missing)).fill('0'), ...right.split(':')] : groups;
  return all.slice(0, 4).join(':');
}
