import type { FastifyRequest } from 'fastify';
import { Problem } from '../problem.ts';

const LOOPBACK = /^(localhost|\[?::1\]?|(::ffff:)?127\.\d+\.\d+\.\d+)$/i;

/** True for the names and addresses that only this machine can reach itself by. */
export function isLoopback(name: string): boolean {
  return LOOPBACK.test(name);
}

/**
 * Without tokens only the machine itself may call. 403 for everybody else, and for a web page that makes the operator's
 * own browser call: by a name that resolves to 127.0.0.1 (DNS rebinding: the Host header tells) or by a cross-site form
 * (Sec-Fetch-Site or Origin tell).
 */
export function refuseForeignCaller(request: FastifyRequest, boundHost: string): void {
  const { headers, socket } = request.raw;
  const local =
    isLoopback(boundHost) &&
    isLoopback(socket.remoteAddress ?? '') &&
    isLoopback((headers.host ?? '').replace(/:\d+$/, '')) &&
    proxiedFromHere(headers['x-forwarded-for']);
  if (!local) {
    throw new Problem(403, 'local_only', 'Without OPERATOR_TOKENS only this machine may call. Set OPERATOR_TOKENS.');
  }
  if (isCrossSite(request)) {
    throw new Problem(403, 'cross_site', 'Another site made this request. Use the console or curl.');
  }
}

function proxiedFromHere(forwardedFor: string | string[] | undefined): boolean {
  const addresses = [forwardedFor ?? []].flat().flatMap((value) => value.split(','));
  return addresses.every((address) => isLoopback(address.trim()));
}

function isCrossSite({ headers }: FastifyRequest): boolean {
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  return headers.origin !== undefined && URL.parse(headers.origin)?.host !== headers.host;
}
