/** Access tokens: one for all processes, fetched by one of them, a little before the old one ends or when Zoho rejects it. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../db/database.ts';
import { ZohoError } from '../client/errors.ts';
import { accountsUrl } from '../organizations/addresses.ts';
import type { ZohoAccess } from '../organizations/organizations.ts';
import { fetchToken, TokenRefusal } from './token-call.ts';
import type { TokenKey } from './token-key.ts';
import {
  claimTokenCall,
  credentialOf,
  forgetRefusal,
  readToken,
  type StoredToken,
  storeToken,
  storeTokenFailure,
} from './token-store.ts';

/** A token is replaced this long before it ends, or in the last quarter of a shorter life. */
const EARLY_SECONDS = 300;
/** How long an ending token is used on while another process fetches the next one, or nobody can. */
const LOOK_AGAIN_SECONDS = 5;
/** Between two looks at the row while another process fetches the token. */
const POLL_MS = 100;

export type AccessToken = {
  token: string;
  /** Where the account lives, as Zoho says; null when it said nothing usable. */
  apiDomain: string | null;
  generation: string;
};

type Remembered = { value: AccessToken; until: number };

export class AccessTokens {
  readonly credential: string;
  readonly #db: Database;
  readonly #key: TokenKey;
  readonly #organizationId: string;
  readonly #access: ZohoAccess;
  #remembered: Remembered | undefined;
  #pending: Promise<AccessToken> | undefined;

  constructor(db: Database, key: TokenKey, organizationId: string, access: ZohoAccess) {
    this.#db = db;
    this.#key = key;
    this.#organizationId = organizationId;
    this.#access = access;
    this.credential = credentialOf(access);
  }

  /**
   * A valid token. Throws ZohoError: `refused-credential` when Zoho has revoked it (remembered for every process, so
   * Zoho is not asked again), `token` with `retryAfterSeconds` when none can be had at the moment.
   */
  get(): Promise<AccessToken> {
    const known = this.#remembered;
    if (known && performance.now() < known.until) return Promise.resolve(known.value);
    return this.#shared(null);
  }

  /** The token after one that Zoho rejected with 401; fetched once, whoever asks how often. */
  async replace(rejected: AccessToken): Promise<AccessToken> {
    const known = this.#remembered;
    if (known && known.value.generation !== rejected.generation) return this.get();
    this.#remembered = undefined;
    const token = await this.#shared(rejected.generation);
    // The answer may have been under way already when the token was rejected.
    return token.generation === rejected.generation ? this.#shared(rejected.generation) : token;
  }

  /** Lets a refused credential be tried once more. */
  async tryAgain(): Promise<void> {
    this.#remembered = undefined;
    await forgetRefusal(this.#db, this.credential);
  }

  /** All who ask in this process at one time wait for one answer. */
  #shared(rejected: string | null): Promise<AccessToken> {
    this.#pending ??= this.#obtain(rejected).finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #obtain(rejected: string | null): Promise<AccessToken> {
    for (;;) {
      const lookedAt = performance.now();
      const stored = await readToken(this.#db, this.#key, this.credential);
      if (stored.refused) throw refusal(stored);
      const valid = stored.token !== null && stored.secondsLeft > 0 && stored.generation !== rejected;
      if (valid && stored.secondsLeft > earlySeconds(stored)) return this.#remember(stored, lookedAt);
      const fetched = await this.#fetch(stored.generation).catch((error) => {
        // The old one is good for some minutes more, in which a short trouble of the accounts server passes unnoticed.
        if (valid && (error as ZohoError).problem === 'token') return null;
        throw error;
      });
      if (fetched === 'stored') continue;
      if (valid) return this.#remember(stored, lookedAt);
      refuseWhileWaiting(stored);
      await sleep(POLL_MS / 2 + Math.random() * POLL_MS);
    }
  }

  /** Fetches the next token if that is up to us: `stored`, or null when another process is at it or nobody may. */
  async #fetch(generation: string): Promise<'stored' | null> {
    const claim = {
      credential: this.credential,
      organizationId: this.#organizationId,
      generation,
      lease: randomUUID(),
    };
    if (!(await claimTokenCall(this.#db, claim))) return null;
    try {
      await storeToken(this.#db, this.#key, claim, await fetchToken(this.#access));
      return 'stored';
    } catch (error) {
      if (!(error instanceof TokenRefusal)) throw error;
      const message = this.#explain(error);
      await storeTokenFailure(this.#db, claim, { ...error.failure, message });
      const { refused, tryAgainInSeconds: retryAfterSeconds } = error.failure;
      throw refused
        ? new ZohoError('refused-credential', message, { cause: error })
        : new ZohoError('token', message, { retryAfterSeconds, cause: error });
    }
  }

  #explain({ failure, message }: TokenRefusal): string {
    const { addresses } = this.#access;
    if (!failure.refused) return message;
    return (
      `Zoho refuses the refresh token of organization ${this.#organizationId} (${message}). Either it was revoked: make ` +
      'another with `npm run zoho -- connect`. Or it, or its client, belongs to another data centre than ' +
      `${addresses.dc} (${accountsUrl(addresses)}): set ZOHO_DC to the one where the account signs in.`
    );
  }

  #remember(stored: StoredToken, lookedAt: number): AccessToken {
    const { token, apiDomain, generation, secondsLeft } = stored;
    const value = { token: token ?? '', apiDomain, generation };
    const fresh = secondsLeft - earlySeconds(stored);
    const seconds = Math.max(fresh, Math.min(LOOK_AGAIN_SECONDS, secondsLeft / 2));
    this.#remembered = { value, until: lookedAt + seconds * 1000 };
    return value;
  }
}

function earlySeconds({ lifetimeSeconds }: StoredToken): number {
  return Math.min(EARLY_SECONDS, lifetimeSeconds / 4);
}

function refusal({ failure }: StoredToken): ZohoError {
  return new ZohoError('refused-credential', failure ?? 'Zoho refuses the refresh token.');
}

/** Throws when there is no token to be had for a while, rather than waiting with a caller in hand. */
function refuseWhileWaiting({ tryAgainInSeconds, callFreeInSeconds, failure }: StoredToken): void {
  if (tryAgainInSeconds > 0)
    throw new ZohoError('token', failure ?? 'No access token can be had.', { retryAfterSeconds: tryAgainInSeconds });
  if (callFreeInSeconds > 0)
    throw new ZohoError(
      'token',
      'Ten access tokens were fetched within ten minutes, which is all that Zoho allows; another follows later.',
      { retryAfterSeconds: callFreeInSeconds },
    );
}
