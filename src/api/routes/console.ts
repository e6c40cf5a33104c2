import { readFile } from 'node:fs/promises';
import type { Api, Deps } from '../deps.ts';

const TYPES = {
  'index.html': 'text/html; charset=utf-8',
  'console.js': 'text/javascript; charset=utf-8',
  'api.js': 'text/javascript; charset=utf-8',
  'dom.js': 'text/javascript; charset=utf-8',
  'render.js': 'text/javascript; charset=utf-8',
  'verdict.js': 'text/javascript; charset=utf-8',
  'base.css': 'text/css; charset=utf-8',
  'board.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
};

/** The web console at /dashboard/. Public, because it holds no data: the page asks the JSON API with the token. */
export async function consoleRoutes(api: Api, { config }: Deps): Promise<void> {
  // Whoever opens the bare address is looking for the console.
  const home = { config: { role: 'public' }, schema: { hide: true } } as const;
  api.get('/', home, async (_request, reply) => reply.redirect(`${config.basePath}/dashboard/`));
  for (const [name, type] of Object.entries(TYPES)) {
    const content = await readFile(new URL(`../../console/${name}`, import.meta.url));
    const url = name === 'index.html' ? '/dashboard/' : `/dashboard/${name}`;
    api.get(url, { config: { role: 'public' }, schema: { hide: true } }, async (request, reply) => {
      // The page's relative links need the slash at the end.
      if (request.url.split('?', 1)[0] === '/dashboard') return reply.redirect(`${config.basePath}/dashboard/`);
      return reply.type(type).send(content);
    });
  }
}
