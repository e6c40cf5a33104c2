import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Logger } from '../../log.ts';
import type { Api } from '../deps.ts';
import { UUID } from '../schemas.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The code of the problem that was answered. */
    problem: string | null;
    /** What else the request's log line says; a route adds the ids and the outcome of its work. */
    facts: Record<string, unknown> | null;
  }
}

const PROBES = new Set(['/health', '/livez', '/readyz']);
/** Files of the console: a dozen lines per visit that say no more than the line of the page itself. */
const CONSOLE_FILE = /^\/dashboard\/[\w-]+\.\w+$/;
const POLL_LINE_MS = 60_000;

/**
 * One wide line per request, with a constant message. Neither the query nor the path as sent is logged: tokens and
 * people's data end up in both. The route's own URL says what was asked, and its line adds ids that are safe.
 */
export function logRequests(api: Api, log: Logger): void {
  api.decorateRequest('problem', null);
  api.decorateRequest('facts', null);
  const isTold = pollWatch();
  api.addHook('onResponse', (request, reply, done) => {
    const component = request.routeOptions.config.role === 'webhook' ? 'webhook' : 'http';
    log[isTold(request, reply) ? level(request, reply) : 'debug'](
      { component, ...describe(request, reply) },
      'request',
    );
    done();
  });
}

function describe(request: FastifyRequest, reply: FastifyReply): Record<string, unknown> {
  return {
    request_id: request.id,
    method: request.method,
    path: safePath(request),
    status: reply.statusCode,
    duration_ms: Math.round(reply.elapsedTime * 100) / 100,
    ip: request.ip,
    operator: request.operator?.name,
    problem: request.problem ?? undefined,
    trace_id: request.span?.traceId,
    ...request.facts,
  };
}

/** The route's URL, with an id only where it is a uuid; of an unknown path no more than its first plain words. */
function safePath({ routeOptions, url, params }: FastifyRequest): string {
  if (routeOptions.url) {
    const { id } = (params ?? {}) as { id?: string };
    return id !== undefined && UUID.test(id) ? routeOptions.url.replace(':id', id) : routeOptions.url;
  }
  const [, ...segments] = url.slice(0, 200).split('?', 1)[0]?.split('/') ?? [];
  const shown = segments.slice(0, SHOWN_SEGMENTS).map((segment) => (PLAIN_WORD.test(segment) ? segment : '*'));
  return `/${shown.join('/')}${segments.length > SHOWN_SEGMENTS ? '/*' : ''}`;
}

const SHOWN_SEGMENTS = 2;
const PLAIN_WORD = /^[a-z_-]{0,24}$/i;

function level(request: FastifyRequest, reply: FastifyReply): 'debug' | 'info' | 'warn' | 'error' {
  if (reply.statusCode === 500) return 'error';
  if (reply.statusCode > 500) return 'warn';
  const url = request.routeOptions.url ?? '';
  return PROBES.has(url) || CONSOLE_FILE.test(url) ? 'debug' : 'info';
}

/**
 * An open console asks every few seconds and marks these requests with X-Tds-Poll. Of an operator's polls one a minute
 * gets its line, so that the log shows that somebody watches and little else. Only reads of a proven operator: the
 * header must not hide a write, a guess at a token or an unexpected error.
 */
function pollWatch(): (request: FastifyRequest, reply: FastifyReply) => boolean {
  const toldAt = new Map<string, number>();
  return (request, reply) => {
    const isPoll = request.headers['x-tds-poll'] === '1' && request.method === 'GET' && request.operator !== null;
    if (!isPoll || reply.statusCode === 500 || isRefusal(reply.statusCode)) return true;
    const key = `${request.operator?.name} ${reply.statusCode > 500}`;
    const isDue = Date.now() - (toldAt.get(key) ?? Number.NEGATIVE_INFINITY) >= POLL_LINE_MS;
    if (isDue) toldAt.set(key, Date.now());
    return isDue;
  };
}

function isRefusal(status: number): boolean {
  return status >= 400 && status < 500;
}
