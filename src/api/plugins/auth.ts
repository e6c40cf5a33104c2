import type { FastifyRequest } from 'fastify';
import { Callers, type Known } from '../../access/callers.ts';
import type { Caller } from '../../access/tokens.ts';
import type { Config } from '../../config.ts';
import { verifyToken } from '../../inbox/signature.ts';
import { type Actor, recordAudit } from '../../monitor/audit.ts';
import { isOutsideBasePath, wrongBasePath } from '../base-path.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { addressOf, GuessLimiter } from './guess-limiter.ts';
import { refuseForeignCaller } from './local-only.ts';
import { ReadDenials } from './read-denials.ts';
import { refuseForgery, sessionCookie } from './session-cookie.ts';

export type { Caller };

declare module 'fastify' {
  interface FastifyRequest {
    operator: Caller | null;
    /** What proved who the operator is; null for 'local'. */
    known: Known | null;
  }
  interface FastifyInstance {
    callers: Callers;
  }
}

const RANK = { viewer: 1, operator: 2, admin: 3 };
const LOCAL: Caller = { name: 'local', role: 'admin' };
const SCRAPER: Caller = { name: 'metrics', role: 'viewer' };

type Door = { deps: Deps; callers: Callers; guesses: GuessLimiter; readDenials: ReadDenials };

/** Checks, before a body is read, that the caller may use the route (its `config.role`). 401, 403, 429 or go on. */
export function authorize(api: Api, deps: Deps): void {
  const callers = new Callers(deps.db, deps.config.operators);
  const door = { deps, callers, guesses: new GuessLimiter(), readDenials: new ReadDenials() };
  api.decorate('callers', callers);
  api.decorateRequest('operator', null);
  api.decorateRequest('known', null);
  // Not async: webhooks pass here thousands of times a second, and a promise each would be felt.
  api.addHook('onRequest', (request, _reply, done) => {
    const required = request.routeOptions.config.role;
    // No role: no route matched, and the answer will be 404 or 405. Every real route has one.
    if (required === undefined || required === 'public' || required === 'webhook') return done();
    demand(required, request, door).then(() => done(), done);
  });
}

async function demand(required: Caller['role'], request: FastifyRequest, door: Door): Promise<void> {
  const scrapes = isScraper(request, door.deps.config);
  request.known = scrapes ? null : await identify(request, door);
  request.operator = scrapes ? SCRAPER : (request.known?.caller ?? LOCAL);
  if (RANK[request.operator.role] >= RANK[required]) return;
  await auditDenial(request, door);
  throw new Problem(403, 'forbidden', `This needs the role ${required}; yours is ${request.operator.role}.`);
}

/** The operator who calls; every route that requires a role has one. */
export function callerOf(request: FastifyRequest): Caller {
  if (!request.operator) throw new Error('the route declares no operator role');
  return request.operator;
}

/** Who acts in this request, as the audit log names them. */
export function actorOf(request: FastifyRequest): Actor {
  return { name: callerOf(request).name, requestId: request.id };
}

/** Null is the person at this machine, who needs no proof while OPERATOR_TOKENS is not set. */
async function identify(request: FastifyRequest, { deps: { config }, callers, guesses }: Door): Promise<Known | null> {
  const token = bearerToken(request);
  const cookie = token === '' ? sessionCookie(request) : '';
  // Before the token is looked at: otherwise a guesser would only have to ignore the refusals.
  const address = addressOf(request);
  if (token !== '') guesses.refuseWhenTooMany(address);
  if (cookie !== '') refuseForgery(request);
  const known = token !== '' ? await callers.byToken(token) : cookie !== '' && (await callers.bySession(cookie));
  if (known) return known;
  if (token !== '' && !mayBeLocal(request, config)) {
    guesses.count(address);
    await guesses.slowDown(address);
  }
  if (config.operators.length > 0) throw token + cookie === '' ? missingToken(request, config) : unauthorized();
  refuseForeignCaller(request, config.host, 'OPERATOR_TOKENS');
  return null;
}

/** Whoever may do everything without a token guesses nothing. */
function mayBeLocal(request: FastifyRequest, { operators, host }: Config): boolean {
  if (operators.length > 0) return false;
  try {
    refuseForeignCaller(request, host, 'OPERATOR_TOKENS');
    return true;
  } catch {
    return false;
  }
}

/** Prometheus, which may read this one route and nothing else. */
function isScraper(request: FastifyRequest, { metricsToken }: Config): boolean {
  if (!request.routeOptions.config.scrape || metricsToken.length === 0) return false;
  return verifyToken(bearerToken(request), metricsToken) >= 0;
}

/** Somebody who carries no token at all has perhaps only left out BASE_PATH: a token would not help. */
function missingToken(request: FastifyRequest, { basePath }: Config): Problem {
  return isOutsideBasePath(request, basePath) ? wrongBasePath(request, basePath) : unauthorized();
}

function unauthorized(): Problem {
  const detail = 'Send "Authorization: Bearer <token>" with a token of OPERATOR_TOKENS or of tds token create.';
  return new Problem(401, 'unauthorized', detail, { 'www-authenticate': 'Bearer realm="tds"' });
}

function bearerToken(request: FastifyRequest): string {
  return /^Bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
}

/** Denied reads are noted once a minute each: a page that polls would fill a log that nobody may shorten. */
async function auditDenial(request: FastifyRequest, { deps: { db, log }, readDenials }: Door): Promise<void> {
  const { action = 'read' } = request.routeOptions.config;
  const { name } = callerOf(request);
  const { url = '' } = request.routeOptions;
  if (action === 'read' && !readDenials.isNew(name, url)) return;
  const target = (request.params as { id?: string }).id ?? null;
  const entry = { operator: name, action, target, result: 'denied', requestId: request.id, detail: { path: url } };
  // The refusal stands even when it cannot be written down.
  await recordAudit(db, entry).catch((error) => log.error({ component: 'http', error }, 'denial not audited'));
}
