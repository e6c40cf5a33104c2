import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Api } from '../deps.ts';
import { Problem } from '../problem.ts';

/** No inline script or style anywhere: what an operator reads in a payload can never run. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');

export const SECURITY_HEADERS = {
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  // Browsers ignore it over plain HTTP; behind the TLS proxy it counts.
  'strict-transport-security': 'max-age=31536000',
  'cache-control': 'no-store',
};

export const MAX_HEADERS = 100;

declare module 'fastify' {
  interface FastifyInstance {
    /** While draining, every answer asks the client to open a new connection next time. */
    drain: { begun: boolean };
  }
}

/** Gives every answer its request id and the security headers, and refuses a flood of headers. */
export function addHeaders(api: Api): void {
  const drain = { begun: false };
  api.decorate('drain', drain);
  api.addHook('onSend', (_request, reply, payload, done) => {
    if (drain.begun) reply.header('connection', 'close');
    done(null, payload);
  });
  api.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id).headers(SECURITY_HEADERS);
    done(request.raw.rawHeaders.length > 2 * MAX_HEADERS ? tooManyHeaders() : undefined);
  });
}

function tooManyHeaders(): Problem {
  return new Problem(431, 'too_many_headers', `Send at most ${MAX_HEADERS} headers.`, { connection: 'close' });
}

const SANE_REQUEST_ID = /^[\w-]{8,64}$/;

/** The proxy's X-Request-Id when it looks like one (it ends in logs and in the audit), else a new uuid. */
export function requestId(request: IncomingMessage): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && SANE_REQUEST_ID.test(given) ? given : randomUUID();
}
