/** The accounts server of the stand-in: grant codes, refresh tokens, access tokens, and every way to be refused. */

type Answer = { status: number; body: Record<string, unknown> };

const ALL_SCOPES = 'ZohoBooks.fullaccess.all ZohoInventory.fullaccess.all';

export class Accounts {
  clientId = 'client';
  clientSecret = 'client-secret';
  refreshToken = 'refresh-token';
  scope = ALL_SCOPES;
  lifetimeSeconds = 3600;
  /** Where the API is; the answer's api_domain. */
  apiDomain = '';
  /** Grant codes that were not exchanged yet. */
  readonly grantCodes = new Set(['grant-code']);
  /** Access tokens given so far, the last fifteen of which are valid. */
  readonly given: string[] = [];
  /** Token calls, answered with a token or not. */
  calls = 0;
  /** The next token calls are answered so. */
  readonly nextAnswers: Answer[] = [];
  /** The refresh token was revoked. */
  revoked = false;
  /** When tokens were given, in seconds of `performance.now`. */
  #times: number[] = [];
  readonly #expiry = new Map<string, number>();

  /** Whether an Authorization header holds a valid token. */
  accepts(header: string | undefined): boolean {
    const token = /^Zoho-oauthtoken (\S+)$/.exec(header ?? '')?.[1] ?? '';
    return (this.#expiry.get(token) ?? 0) > performance.now() / 1000;
  }

  /** Makes all tokens given so far worthless. */
  rejectTokens(): void {
    this.#expiry.clear();
  }

  /** Lets this many seconds pass. */
  pass(seconds: number): void {
    this.#times = this.#times.map((at) => at - seconds);
    for (const [token, at] of this.#expiry) this.#expiry.set(token, at - seconds);
  }

  answer(form: URLSearchParams): Answer {
    this.calls += 1;
    const ordered = this.nextAnswers.shift();
    if (ordered) return ordered;
    // Recorded: Zoho refuses with HTTP 200 and an error in the body.
    const refuse = (error: string) => ({ status: 200, body: { error } });
    if (form.get('client_id') !== this.clientId) return refuse('invalid_client');
    if (form.get('client_secret') !== this.clientSecret) return refuse('invalid_client_secret');
    if (form.get('grant_type') === 'authorization_code') return this.#exchange(form.get('code') ?? '');
    if (this.revoked || form.get('refresh_token') !== this.refreshToken) return refuse('invalid_code');
    if (this.#tooMany()) return throttled();
    return { status: 200, body: this.#give() };
  }

  #exchange(code: string): Answer {
    if (!this.grantCodes.delete(code)) return { status: 200, body: { error: 'invalid_code' } };
    return { status: 200, body: { ...this.#give(), refresh_token: this.refreshToken } };
  }

  /** Ten tokens in ten minutes. */
  #tooMany(): boolean {
    const now = performance.now() / 1000;
    this.#times = this.#times.filter((at) => at > now - 600);
    return this.#times.length >= 10;
  }

  #give(): Record<string, unknown> {
    const now = performance.now() / 1000;
    this.#times.push(now);
    const token = `1000.${String(this.given.length + 1).padStart(4, '0')}.stand-in`;
    this.given.push(token);
    this.#expiry.set(token, now + this.lifetimeSeconds);
    const oldest = this.given.at(-16);
    if (oldest) this.#expiry.delete(oldest);
    return {
      access_token: token,
      scope: this.scope,
      api_domain: this.apiDomain,
      token_type: 'Bearer',
      expires_in: this.lifetimeSeconds,
    };
  }
}

function throttled(): Answer {
  return {
    status: 400,
    body: {
      error: 'Access Denied',
      error_description: 'You have made too many requests continuously. Please try again after some time.',
      status: 'failure',
    },
  };
}
