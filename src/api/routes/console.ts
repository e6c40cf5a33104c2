import { readdir, readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import type { FastifyRequest } from 'fastify';
import type { Api, Deps } from '../deps.ts';

const FOLDER = new URL('../../console/', import.meta.url);

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** The web console at /dashboard/. Public, because it holds no data: the page asks the JSON API with its session. */
export async function consoleRoutes(api: Api, { config }: Deps): Promise<void> {
  // Whoever opens the bare address is looking for the console.
  const home = { config: { role: 'public' }, schema: { hide: true } } as const;
  api.get('/', home, async (_request, reply) => reply.redirect(`${config.basePath}/dashboard/`));
  for (const name of await readdir(FOLDER)) {
    const type = TYPES[extname(name)];
    if (!type) continue;
    const content = await readFile(new URL(name, FOLDER));
    const url = name === 'index.html' ? '/dashboard/' : `/dashboard/${name}`;
    api.get(url, { config: { role: 'public' }, schema: { hide: true } }, async (request, reply) => {
      const withSlash = withoutSlash(request) && `${config.basePath}/dashboard/${query(request)}`;
      return withSlash ? reply.redirect(withSlash) : reply.type(type).send(content);
    });
  }
}

/** The page's relative links need the slash at the end. */
function withoutSlash({ url }: FastifyRequest): boolean {
  return url.split('?', 1)[0] === '/dashboard';
}

// A link to a filtered list stays one.
function query({ url }: FastifyRequest): string {
  return url.slice('/dashboard'.length);
}
