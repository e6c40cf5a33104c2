import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { isLoopback } from '../../loopback.ts';
import { Problem } from '../problem.ts';

/** Whoever sends one of these speaks for somebody else: the peer address says nothing about the caller any more. */
const FORWARDING = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-server',
  'x-real-ip',
  'true-client-ip',
  'cf-connecting-ip',
] as const;

/**
 * While nothing demands a proof of the caller (no tokens, or no webhook secret), only the machine itself may call.
 * 403 for everybody else, and for a web page that makes the operator's own browser call: by a name that resolves to
 * 127.0.0.1 (DNS rebinding: the Host header tells) or by a cross-site form (Sec-Fetch-Site or Origin tell).
 * `missing` names the settings that would open the door properly.
 */
export function refuseForeignCaller(request: FastifyRequest, boundHost: string, missing: string): void {
  const { headers, socket } = request.raw;
  const local =
    isLoopback(boundHost) &&
    isLoopback(socket.remoteAddress ?? '') &&
    isLoopback(withoutPort(headers.host ?? '')) &&
    !isForwarded(headers);
  if (!local) {
    throw new Problem(403, 'local_only', `Without ${missing} only this machine itself may call. Set ${missing}.`);
  }
  if (isCrossSite(headers)) {
    throw new Problem(403, 'cross_site', 'Another site made this request. Use the console or curl.');
  }
}

function withoutPort(host: string): string {
  return host.replace(/:\d{1,5}$/, '');
}

function isForwarded(headers: IncomingHttpHeaders): boolean {
  return FORWARDING.some((name) => headers[name] !== undefined);
}

function isCrossSite(headers: IncomingHttpHeaders): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true;
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host;
}
