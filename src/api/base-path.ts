import type { FastifyRequest } from 'fastify';
import { withoutLeftovers } from '../inbox/leftovers.ts';
import { Problem } from './problem.ts';

/**
 * The path as the routes know it: without BASE_PATH, so that it works whether the proxy keeps the prefix or strips it,
 * without the scheme and host that a request to a proxy carries (RFC 9112, 3.2.2), and without what Zoho leaves at its
 * end.
 */
export function localUrl(url: string, basePath: string): string {
  const path = withoutLeftovers(originForm(url)) || '/';
  return behindBasePath(path, basePath) ?? path;
}

function originForm(url: string): string {
  return url.replace(/^https?:\/\/[^/?]*/i, '');
}

/** What follows BASE_PATH, undefined where the path does not begin with it. */
function behindBasePath(path: string, basePath: string): string | undefined {
  if (!basePath || !path.startsWith(basePath)) return undefined;
  const rest = path.slice(basePath.length);
  if (rest === '' || rest.startsWith('?')) return `/${rest}`;
  return rest.startsWith('/') ? rest : undefined;
}

/** True when a client itself left BASE_PATH out; a proxy that has stripped it says that it is one. */
export function isOutsideBasePath(request: FastifyRequest, basePath: string): boolean {
  const { 'x-forwarded-for': forwardedFor, 'x-real-ip': realIp, forwarded, via } = request.headers;
  const isProxied = [forwardedFor, realIp, forwarded, via].some((header) => header !== undefined);
  return basePath !== '' && !isProxied && behindBasePath(originForm(request.originalUrl), basePath) === undefined;
}

/** 404 with the path that was probably meant; without the query, which may hold a token. */
export function wrongBasePath(request: FastifyRequest, basePath: string): Problem {
  const meant = basePath + (request.routeOptions.url ?? '/');
  return new Problem(404, 'outside_base_path', `BASE_PATH is ${basePath}: every path begins with it. Ask ${meant}.`);
}
