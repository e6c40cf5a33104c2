import type { FastifyRequest } from 'fastify';
import { isTracing, runIn, type Span, startSpan } from '../../tracing.ts';
import type { Api } from '../deps.ts';

declare module 'fastify' {
  interface FastifyRequest {
    span: Span | undefined;
  }
}

/** What is asked every few seconds and says nothing. */
const UNTOLD = new Set(['/health', '/livez', '/readyz']);

/**
 * A span per request, named by its route: never by its path or query, in which people's data may stand. It begins a
 * trace: a sender's own `traceparent` is not believed, since anybody may send one.
 */
export function traceRequests(api: Api): void {
  api.decorateRequest('span', undefined);
  if (!isTracing()) return;
  api.addHook('onRequest', (request, _reply, done) => {
    request.span = begin(request);
    done();
  });
  // Here, not before: reading the body leaves the course of whoever began it.
  api.addHook('preHandler', (request, _reply, done) => runIn(request.span, done));
  api.addHook('onResponse', (request, reply, done) => {
    const { span, facts } = request;
    span?.set({ 'http.response.status_code': reply.statusCode, 'tds.event_id': facts?.event_id as string | undefined });
    if (reply.statusCode >= 500) span?.fail(String(reply.statusCode));
    span?.end();
    done();
  });
}

function begin({ method, id, routeOptions: { url } }: FastifyRequest): Span | undefined {
  if (url === undefined || UNTOLD.has(url)) return undefined;
  const attributes = { 'http.request.method': method, 'http.route': url, 'tds.request_id': id };
  return startSpan(`${method} ${url}`, { kind: 'server', parent: null, attributes });
}
