import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../log.ts';
import type { Api } from '../deps.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The code of the problem that was answered. */
    problem: string | null;
    /** What else the request's log line says; a route adds the ids and the outcome of its work. */
    facts: Record<string, unknown> | null;
  }
}

const PROBES = new Set(['/health', '/livez', '/readyz']);
const MAX_PATH = 200;

/** One wide line per request, with a constant message. The query is never logged: tokens end up in queries. */
export function logRequests(api: Api, log: Logger): void {
  api.decorateRequest('problem', null);
  api.decorateRequest('facts', null);
  api.addHook('onResponse', (request, reply, done) => {
    const component = request.routeOptions.config.role === 'webhook' ? 'webhook' : 'http';
    log[level(request, reply)]({ component, ...describe(request, reply) }, 'request');
    done();
  });
}

function describe(request: FastifyRequest, reply: FastifyReply): Record<string, unknown> {
  return {
    request_id: request.id,
    method: request.method,
    path: request.url.split('?', 1)[0]?.slice(0, MAX_PATH),
    status: reply.statusCode,
    duration_ms: Math.round(reply.elapsedTime * 100) / 100,
    ip: request.ip,
    operator: request.operator?.name,
    problem: request.problem ?? undefined,
    ...request.facts,
  };
}

function level(request: FastifyRequest, reply: FastifyReply): 'debug' | 'info' | 'warn' | 'error' {
  if (reply.statusCode === 500) return 'error';
  if (reply.statusCode > 500) return 'warn';
  return PROBES.has(request.routeOptions.url ?? '') ? 'debug' : 'info';
}
