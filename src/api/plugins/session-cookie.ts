import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { Problem } from '../problem.ts';

const NAME = 'tds_session';
/** 256 bits in base64url; anything else was not made here. */
const VALUE = /^[\w-]{43}$/;

/** The session's cookie of a request, '' without one. The last one of that name: a path below ours goes first. */
export function sessionCookie({ headers }: FastifyRequest): string {
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim().split('=', 2));
  const values = pairs.filter(([name, value]) => name === NAME && VALUE.test(value ?? '')).map(([, value]) => value);
  return values.at(-1) ?? '';
}

/**
 * The header that gives a browser its session. No script can read it, no other site can make the browser send it, and
 * behind https it travels over nothing else.
 */
export function setCookie(request: FastifyRequest, basePath: string, cookie: string, expiresAt: Date): string {
  const seconds = Math.max(0, Math.floor((expiresAt.getTime() - Date.now()) / 1000));
  const secure = isSecure(request) ? '; Secure' : '';
  return `${NAME}=${cookie}; Path=${basePath || '/'}; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure}`;
}

export function clearCookie(request: FastifyRequest, basePath: string): string {
  return setCookie(request, basePath, '', new Date(0));
}

/** Also behind a proxy that TRUST_PROXY does not name: whoever lies here harms only his own browser. */
function isSecure({ protocol, headers }: FastifyRequest): boolean {
  return protocol === 'https' || [headers['x-forwarded-proto']].flat().join() === 'https';
}

/**
 * Refuses what another page made the browser send with the cookie: SameSite=Strict keeps other sites out, and this also
 * pages of neighbours under the same domain. To write takes proof: browsers that send neither header are too old.
 */
export function refuseForgery({ method, headers }: FastifyRequest): void {
  const reads = method === 'GET' || method === 'HEAD';
  if (cameFromOurPage(headers) ?? reads) return;
  throw new Problem(403, 'cross_site', 'Another site made this request. Use the console, or send a token.');
}

/** True, false, or undefined when the browser does not say. */
function cameFromOurPage(headers: IncomingHttpHeaders): boolean | undefined {
  const site = headers['sec-fetch-site'];
  // 'none': typed into the address bar, or a bookmark.
  if (site !== undefined) return site === 'same-origin' || (site === 'none' && headers.origin === undefined);
  if (headers.origin === undefined) return undefined;
  return URL.parse(headers.origin)?.host === headers.host;
}
