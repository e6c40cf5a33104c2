/**
 * The Zoho Books API for one organization: every call under the quota governor, with the token all processes share.
 * What it returns are records with their own source text; all that it ever writes are settings that an operator asked for.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Database } from '../../db/database.ts';
import { inSpan, type Span } from '../../tracing.ts';
import type { PullModule } from '../modules/pull-modules.ts';
import { type Api, apiBase } from '../organizations/addresses.ts';
import type { ZohoAccess } from '../organizations/organizations.ts';
import { type Called, type Governed, governed, type Turn } from '../quota/governed.ts';
import { DEFAULT_LIMITS, type QuotaLimits } from '../quota/quota.ts';
import { type AccessToken, AccessTokens } from '../tokens/oauth.ts';
import type { TokenKey } from '../tokens/token-key.ts';
import { type Answer, type Asked, quotaOf, readAnswer } from './answer.ts';
import { ZohoError } from './errors.ts';
import { send } from './http.ts';
import { contextOf, type ListPage, type ListQuery, listParameters, MAX_PER_PAGE } from './list.ts';
import { recordIn, recordsIn, type ZohoRecord } from './records.ts';

export type { Turn } from '../quota/governed.ts';
export type { ListPage, ListQuery } from './list.ts';

export type ClientOptions = {
  /** The pool, never a transaction: what a call used up stays used up whatever the caller rolls back. */
  db: Database;
  key: TokenKey;
  organizationId: string;
  access: ZohoAccess;
  /** Of one call, answer included; default 30,000. */
  timeoutMs?: number;
  /** Longest wait for the quota inside a call; beyond it a ZohoError says how long. Default 5,000. */
  patienceMs?: number;
  /** Other limits than Zoho's, for tests. */
  limits?: Partial<QuotaLimits>;
  /** Told about every call that was made, for metrics. */
  onCall?: (call: { what: string; durationMs: number; error: unknown }) => void;
};

/** A call below an API's base, and the request that becomes of it. */
type Call = { api: Api; path: string; query: Record<string, string>; json?: object };
type Request = { url: URL; token: string; json: object | undefined; signal: AbortSignal | undefined };

const TIMEOUT_MS = 30_000;
const PATIENCE_MS = 5_000;
/** The answer may be read and stored for this long after the time-out before the place counts as free. */
const AFTER_TIMEOUT_MS = 10_000;
/** After a path has been denied to a fresh token, a new token is not worth one of Zoho's ten for this long. */
const DENIED_MS = 600_000;
/** Calls that Zoho sends away for its limits, one after the other, until the caller is told. */
const MAX_SENT_AWAY = 6;

export class ZohoClient {
  readonly organizationId: string;
  readonly tokens: AccessTokens;
  readonly #access: ZohoAccess;
  readonly #governor: Governed;
  readonly #timeoutMs: number;
  readonly #onCall: ClientOptions['onCall'];
  readonly #deniedUntil = new Map<string, number>();

  constructor(options: ClientOptions) {
    const { db, key, organizationId, access, timeoutMs = TIMEOUT_MS, patienceMs = PATIENCE_MS } = options;
    const { callsPerMinute, callsInFlight } = access;
    const callTimeoutMs = timeoutMs + AFTER_TIMEOUT_MS;
    const limits = { ...DEFAULT_LIMITS, callsPerMinute, callsInFlight, callTimeoutMs, ...options.limits };
    this.organizationId = organizationId;
    this.tokens = new AccessTokens(db, key, organizationId, access);
    this.#access = access;
    this.#governor = { db, organizationId, limits, patienceMs };
    this.#timeoutMs = timeoutMs;
    this.#onCall = options.onCall;
  }

  get limits(): QuotaLimits {
    return this.#governor.limits;
  }

  /** One page of a module's list. Throws ZohoError `unreadable` when the answer has no list: never an empty page. */
  async listPage(module: PullModule, query: ListQuery, turn: Turn): Promise<ListPage> {
    const { text, body } = await this.get(module.api, module.listPath, listParameters(query), turn, module.scope);
    const found = recordsIn(text, module.listKeys, module.idFields);
    if (found === null)
      throw new ZohoError('unreadable', `${module.listPath}: the answer has no list ${module.listKeys[0]}.`);
    const { records: rows, unusable } = found;
    const context = contextOf(body);
    const full = rows.length + unusable.length === (query.perPage ?? MAX_PER_PAGE);
    return { rows, unusable, hasMore: context.hasMore ?? full, total: context.total };
  }

  /** The full record, or null when Zoho says that it does not exist (404, code 1002): deleted, or never there. */
  async detail(module: PullModule, id: string, turn: Turn): Promise<ZohoRecord | null> {
    const path = `${module.listPath}/${encodeURIComponent(id)}`;
    try {
      const { text } = await this.get(module.api, path, {}, turn, module.scope);
      const record = recordIn(text, module.detailKeys, module.idFields);
      if (record === null)
        throw new ZohoError('unreadable', `${path}: the answer has no record ${module.detailKeys[0]}.`);
      if (typeof record === 'string') throw new ZohoError('refused', `${path} cannot be used: ${record}.`);
      if (record.id !== id) throw new ZohoError('unreadable', `${path} answered with record ${record.id}.`);
      return record;
    } catch (error) {
      if (error instanceof ZohoError && error.problem === 'not-found') return null;
      throw error;
    }
  }

  /**
   * One GET below an API's base; `organization_id` is added. Waits for the quota, replaces a rejected token once, and
   * tries again where Zoho itself asked to wait. Throws ZohoError; the signal's reason when aborted.
   */
  get(api: Api, path: string, query: Record<string, string>, turn: Turn, scope: string): Promise<Answer> {
    return this.#ask({ api, path, query }, turn, scope);
  }

  /**
   * One POST of JSON, as `get` makes a GET. It is sent again only when Zoho has turned it away; after a time-out or a
   * lost connection nobody knows whether it was done.
   */
  post(api: Api, path: string, json: object, turn: Turn, scope: string): Promise<Answer> {
    return this.#ask({ api, path, query: {}, json }, turn, scope);
  }

  async #ask(call: Call, turn: Turn, scope: string): Promise<Answer> {
    const { api, path } = call;
    const asked = { what: path, scope };
    let rejected = false;
    for (let sentAway = 0; ; ) {
      turn.signal?.throwIfAborted();
      const token = await orAborted(this.tokens.get(), turn.signal);
      try {
        return await governed(this.#governor, turn, () => this.#send(call, token, turn, asked));
      } catch (error) {
        if (!(error instanceof ZohoError)) throw error;
        if (wasSentAway(error) && ++sentAway <= MAX_SENT_AWAY) await pauseAfter(error, sentAway, turn.signal);
        else if (error.problem === 'unauthorized' && !rejected && !this.#isDenied(api, path)) {
          rejected = true;
          await this.tokens.replace(token);
        } else {
          if (rejected && error.problem === 'unauthorized') this.#deny(api, path);
          throw error;
        }
      }
    }
  }

  async #send(
    { api, path, query, json }: Call,
    { token, apiDomain }: AccessToken,
    { signal, onCall }: Turn,
    asked: Asked,
  ): Promise<Called<Answer>> {
    const url = new URL(apiBase(api, this.#access.addresses, apiDomain) + path);
    // URLSearchParams writes the + of a time's offset as %2B, which Zoho demands.
    url.search = new URLSearchParams({ ...query, organization_id: this.organizationId }).toString();
    onCall?.();
    const startedAt = performance.now();
    const called = await this.#outcome({ url, token, json, signal }, asked);
    this.#onCall?.({
      what: path,
      durationMs: performance.now() - startedAt,
      error: 'error' in called ? called.error : undefined,
    });
    return called;
  }

  #outcome(request: Request, asked: Asked): Promise<Called<Answer>> {
    // Ids of records stand in paths; what is asked for in the query is left out.
    const template = asked.what.replace(/\/\d+/g, '/{id}');
    const method = request.json ? 'POST' : 'GET';
    const { hostname } = request.url;
    const attributes = { 'http.request.method': method, 'server.address': hostname, 'url.template': template };
    return inSpan(`${method} ${template}`, { kind: 'client', attributes }, async (span) => {
      const called = await this.#called(request, asked, span);
      if ('error' in called) span?.fail(called.error instanceof ZohoError ? called.error.problem : 'unknown');
      return called;
    });
  }

  async #called(request: Request, asked: Asked, span: Span | undefined): Promise<Called<Answer>> {
    try {
      const raw = await send({ ...request, timeoutMs: this.#timeoutMs });
      span?.set({ 'http.response.status_code': raw.status });
      const outcome = readAnswer(raw, asked);
      const learned = quotaOf(raw, outcome);
      return outcome instanceof ZohoError ? { ...learned, error: outcome } : { ...learned, value: outcome };
    } catch (error) {
      if (!(error instanceof ZohoError)) throw error;
      return { end: { kind: 'failed', why: error.message }, day: null, error };
    }
  }

  #isDenied(api: Api, path: string): boolean {
    return (this.#deniedUntil.get(denialKey(api, path)) ?? 0) > performance.now();
  }

  #deny(api: Api, path: string): void {
    this.#deniedUntil.set(denialKey(api, path), performance.now() + DENIED_MS);
  }
}

/** The promise, unless the signal is aborted first: what many wait for goes on for the others. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener('abort', abort);
  return Promise.race([promise, aborted]).finally(() => signal.removeEventListener('abort', abort));
}

/** Permissions are per module, which the first part of the path names. */
function denialKey(api: Api, path: string): string {
  return `${api} ${path.split('/')[1]}`;
}

/** Zoho turned a call away for a limit; our own refusals say with `retryAfterSeconds` how long, and are the caller's. */
function wasSentAway({ problem, status }: ZohoError): boolean {
  return status !== undefined && problem.endsWith('-limit');
}

/** The pause of codes 44 and 45 is the governor's, who makes the next turn wait; 1070 is over as soon as a call ends. */
async function pauseAfter({ problem }: ZohoError, times: number, signal: AbortSignal | undefined): Promise<void> {
  if (problem !== 'in-flight-limit') return;
  const ms = 200 * 2 ** times;
  await sleep(ms / 2 + Math.random() * ms, undefined, { signal }).catch(() => {});
}
