import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import type { Config, Operator } from '../../config.ts';
import { verifyToken } from '../../inbox/signature.ts';
import { type Actor, recordAudit } from '../../monitor/audit.ts';
import { isOutsideBasePath, wrongBasePath } from '../base-path.ts';
import type { Api, Deps } from '../deps.ts';
import { Problem } from '../problem.ts';
import { addressOf, GuessLimiter } from './guess-limiter.ts';
import { refuseForeignCaller } from './local-only.ts';

/** The person behind a request. Without tokens there is only one, 'local', who sits at the machine. */
export type Caller = Pick<Operator, 'name' | 'role'>;

declare module 'fastify' {
  interface FastifyRequest {
    operator: Caller | null;
  }
}

const RANK = { viewer: 1, operator: 2, admin: 3 };
const LOCAL: Caller = { name: 'local', role: 'admin' };
const SCRAPER: Caller = { name: 'metrics', role: 'viewer' };

/** Checks, before a body is read, that the caller may use the route (its `config.role`). 401, 403, 429 or go on. */
export function authorize(api: Api, deps: Deps): void {
  const guesses = new GuessLimiter();
  api.decorateRequest('operator', null);
  // Not async: webhooks pass here thousands of times a second, and a promise each would be felt.
  api.addHook('onRequest', (request, _reply, done) => {
    const required = request.routeOptions.config.role;
    // No role: no route matched, and the answer will be 404 or 405. Every real route has one.
    if (required === undefined || required === 'public' || required === 'webhook') return done();
    demand(required, request, deps, guesses).then(() => done(), done);
  });
}

async function demand(
  required: Caller['role'],
  request: FastifyRequest,
  deps: Deps,
  guesses: GuessLimiter,
): Promise<void> {
  request.operator = identify(request, deps.config, guesses);
  if (RANK[request.operator.role] >= RANK[required]) return;
  await auditDenial(request, deps);
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

function identify(request: FastifyRequest, config: Config, guesses: GuessLimiter): Caller {
  if (isScraper(request, config)) return SCRAPER;
  if (config.operators.length === 0) {
    refuseForeignCaller(request, config.host, 'OPERATOR_TOKENS');
    return LOCAL;
  }
  const token = bearerToken(request);
  if (token === '') throw missingToken(request, config);
  // Before the token is looked at: otherwise a guesser would only have to ignore the refusals.
  const address = addressOf(request);
  guesses.refuseWhenTooMany(address);
  const operator = findOperator(token, config.operators);
  if (operator) return operator;
  guesses.count(address);
  throw unauthorized();
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
  const detail = 'Send "Authorization: Bearer <token>" with a token of OPERATOR_TOKENS.';
  return new Problem(401, 'unauthorized', detail, { 'www-authenticate': 'Bearer realm="tds"' });
}

function bearerToken(request: FastifyRequest): string {
  return /^Bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? '')?.[1] ?? '';
}

// All digests are compared, each in constant time: neither the time nor the answer tells how close a guess was.
function findOperator(token: string, operators: Operator[]): Operator | undefined {
  const digest = createHash('sha256').update(token).digest();
  return operators.filter((operator) => timingSafeEqual(operator.tokenSha256, digest)).at(0);
}

async function auditDenial(request: FastifyRequest, { db, log }: Deps): Promise<void> {
  const { action } = request.routeOptions.config;
  if (!action) return;
  const target = (request.params as { id?: string }).id ?? null;
  const entry = { operator: callerOf(request).name, action, target, result: 'denied', requestId: request.id };
  // The refusal stands even when it cannot be written down.
  await recordAudit(db, entry).catch((error) => log.error({ component: 'http', error }, 'denial not audited'));
}
