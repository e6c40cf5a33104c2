import type { RouteOptions } from 'fastify';
import type { Api } from '../deps.ts';

/** Who may call a route: anybody, Zoho (proves itself inside the route), or an operator of at least this role. */
export type RouteRole = 'public' | 'webhook' | 'viewer' | 'operator' | 'admin';

declare module 'fastify' {
  interface FastifyContextConfig {
    role?: RouteRole;
    /** What the route does, as the audit log calls it. Every route that changes something has one. */
    action?: string;
    /** METRICS_TOKEN is enough. */
    scrape?: true;
  }
}

const ROLES = new Set<unknown>(['public', 'webhook', 'viewer', 'operator', 'admin'] satisfies RouteRole[]);
const OPERATORS_ROUTE_TIMEOUT_MS = 10_000;

/**
 * Watches every route that is registered after it. A route that does not declare who may call it, or that changes
 * something without naming the action, stops the start: access is never open by forgetting.
 * Returns a function that lists the methods registered for a path, for 405 answers.
 */
export function watchRoutes(api: Api): (path: string) => string[] {
  const table: { pattern: RegExp; methods: string[]; route: RouteOptions }[] = [];
  api.addHook('onRoute', (route) => {
    // Webhooks have none: their commit has its own limit, and a timer per request costs them throughput.
    if (route.config?.role !== 'webhook') route.handlerTimeout ??= OPERATORS_ROUTE_TIMEOUT_MS;
    table.push({ pattern: toPattern(route.url), methods: [route.method].flat(), route });
  });
  // Only now: a hook of a plugin may have declared the role after ours has seen the route.
  api.addHook('onReady', async () => {
    for (const { route } of table) refuseUndeclared(route);
  });
  return (path) => {
    const methods = table.filter(({ pattern }) => pattern.test(path)).flatMap((entry) => entry.methods);
    return [...new Set(methods)];
  };
}

function refuseUndeclared({ method, url, config }: RouteOptions): void {
  if (!ROLES.has(config?.role)) throw new Error(`route ${method} ${url} declares no role`);
  const writes = ![method].flat().every((name) => name === 'GET' || name === 'HEAD');
  if (writes && config?.role !== 'webhook' && !config?.action)
    throw new Error(`route ${method} ${url} names no action`);
}

function toPattern(url: string): RegExp {
  const source = url
    .replace(/\/$/, '')
    .replace(/[.+()[\]]/g, '\\$&')
    .replace(/:[^/]+/g, '[^/]+')
    .replace(/\*/g, '.*');
  return new RegExp(`^${source}/?$`);
}
