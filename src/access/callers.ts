import { timingSafeEqual } from 'node:crypto';
import type { Operator } from '../config.ts';
import type { Database } from '../db/database.ts';
import { isDatabaseAway } from '../errors.ts';
import { endSession, findSession, type Session, saveSession } from './sessions.ts';
import { type Caller, digestOf, findToken, newSecret, touchToken } from './tokens.ts';

/** Somebody who proved who he is, until when that holds, and by which token. */
export type Known = { caller: Caller; expiresAt: Date; tokenDigest: Buffer };

/** More than there are operators by far; the oldest are forgotten, so that memory stays bounded. */
const MAX_REMEMBERED = 1000;

/**
 * Who calls, by token or by session. Tokens of OPERATOR_TOKENS need no database. What the database said of a stored
 * token or of a session is remembered, and used while the database is away: nothing can be revoked there meanwhile, and
 * whoever watches an outage should not be asked to sign in. A session that begins during one is kept when it is over.
 */
export class Callers {
  readonly #db: Database;
  readonly #operators: Operator[];
  readonly #tokens = new Map<string, Known>();
  readonly #sessions = new Map<string, Session>();
  readonly #unsaved = new Map<string, Session>();

  constructor(db: Database, operators: Operator[]) {
    this.#db = db;
    this.#operators = operators;
  }

  async byToken(token: string): Promise<Known | undefined> {
    return this.#byDigest(digestOf(token));
  }

  async bySession(cookie: string): Promise<Known | undefined> {
    const digest = digestOf(cookie);
    const find = async () => (await findSession(this.#db, digest)) ?? (await this.#saveNow(digest));
    const session = await this.#orRemembered(this.#sessions, digest, find);
    const known = session && (await this.#byDigest(session.tokenDigest));
    return known && { ...known, expiresAt: earlier(known.expiresAt, session.expiresAt) };
  }

  /** Begins a session of whoever has this token; its cookie ends with the token at the latest. */
  async begin(known: Known, hours: number): Promise<{ cookie: string; expiresAt: Date }> {
    const cookie = newSecret('');
    const digest = digestOf(cookie);
    const expiresAt = earlier(new Date(Date.now() + hours * 3_600_000), known.expiresAt);
    const session = { tokenDigest: known.tokenDigest, expiresAt };
    await saveSession(this.#db, digest, session).catch((error: unknown) => {
      if (!isDatabaseAway(error)) throw error;
      remember(this.#unsaved, digest, session);
    });
    remember(this.#sessions, digest, session);
    return { cookie, expiresAt };
  }

  async end(cookie: string): Promise<void> {
    const digest = digestOf(cookie);
    for (const sessions of [this.#sessions, this.#unsaved]) sessions.delete(digest.toString('hex'));
    await endSession(this.#db, digest);
  }

  async #byDigest(digest: Buffer): Promise<Known | undefined> {
    // All digests are compared, each in constant time: neither the time nor the answer tells how close a guess was.
    const operator = this.#operators.filter(({ tokenSha256 }) => timingSafeEqual(tokenSha256, digest)).at(0);
    if (operator) {
      const { name, role } = operator;
      return { caller: { name, role }, expiresAt: FOR_EVER, tokenDigest: digest };
    }
    return this.#orRemembered(this.#tokens, digest, async () => {
      const found = await findToken(this.#db, digest);
      // A database that only reads still lets people in.
      if (found?.isUsedAgain) await touchToken(this.#db, digest).catch(() => {});
      return found && { caller: found.caller, expiresAt: found.expiresAt, tokenDigest: digest };
    });
  }

  async #saveNow(digest: Buffer): Promise<Session | undefined> {
    const session = this.#unsaved.get(digest.toString('hex'));
    if (!session || session.expiresAt <= new Date()) return undefined;
    await saveSession(this.#db, digest, session);
    this.#unsaved.delete(digest.toString('hex'));
    return session;
  }

  async #orRemembered<T extends { expiresAt: Date }>(
    known: Map<string, T>,
    digest: Buffer,
    find: () => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const key = digest.toString('hex');
    try {
      const found = await find();
      known.delete(key);
      if (found) remember(known, digest, found);
      return found;
    } catch (error) {
      const remembered = known.get(key);
      if (!isDatabaseAway(error) || !remembered) throw error;
      return remembered.expiresAt > new Date() ? remembered : undefined;
    }
  }
}

const FOR_EVER = new Date(8.64e15);

function earlier(a: Date, b: Date): Date {
  return a < b ? a : b;
}

function remember<T>(known: Map<string, T>, digest: Buffer, what: T): void {
  known.set(digest.toString('hex'), what);
  const [oldest] = known.keys();
  if (known.size > MAX_REMEMBERED && oldest !== undefined) known.delete(oldest);
}
