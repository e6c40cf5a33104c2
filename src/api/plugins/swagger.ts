import { readFile } from 'node:fs/promises';
import swagger, { type SwaggerTransform } from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import { VERSION } from '../../version.ts';
import type { Api } from '../deps.ts';
import { PROBLEM_TYPE } from '../problem.ts';
import { ProblemSchema } from '../schemas.ts';

const TAGS = [
  { name: 'health', description: 'Is it up, alive, ready?' },
  { name: 'webhooks', description: 'Where Zoho Books delivers.' },
  { name: 'access', description: 'Sessions and tokens.' },
  { name: 'dashboard', description: 'What happened, and the means to put it right.' },
];

/** OpenAPI 3.1, read from the schemas of the routes registered after it. */
export async function describeApi(api: Api, basePath: string): Promise<void> {
  await api.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'TDS Core', version: VERSION, description: 'Keeps PostgreSQL in step with Zoho Books.' },
      servers: [{ url: basePath || '/' }],
      tags: TAGS,
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    transform: completeOperation,
  });
}

/** What every operation has and no route should have to repeat: its access and the shape of its errors. */
const completeOperation: SwaggerTransform = ({ schema, url, route }) => {
  const role = route.config?.role;
  const open = role === 'public' || role === 'webhook';
  const access = open ? '' : `Needs the role ${role}.`;
  const problem = { description: 'A problem', content: { [PROBLEM_TYPE]: { schema: ProblemSchema } } };
  return {
    url,
    schema: {
      ...schema,
      description: [schema?.description, access].filter(Boolean).join(' '),
      security: open ? [] : [{ bearer: [] }],
      response: { ...(schema?.response as object), default: problem },
    },
  };
};

/**
 * Swagger UI at /docs. The page and its assets hold no data and are public, as a browser cannot send a token when it
 * opens a page; the description itself needs a session, as the console makes one, or a token.
 */
export async function serveDocs(api: Api, basePath: string): Promise<void> {
  const logo = await readFile(new URL('docs-logo.svg', import.meta.url));
  const icon = await readFile(new URL('../../console/icon.svg', import.meta.url));
  await api.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      const isDescription = /\/(json|yaml)$/.test(route.url);
      route.config = { ...route.config, role: isDescription ? 'viewer' : 'public' };
    });
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      indexPrefix: basePath,
      staticCSP: DOCS_CONTENT_SECURITY_POLICY,
      logo: { type: 'image/svg+xml', content: logo },
      theme: {
        title: 'TDS Core API',
        favicon: [{ filename: 'icon.svg', rel: 'icon', type: 'image/svg+xml', sizes: 'any', content: icon }],
      },
    });
  });
}

// Swagger UI writes style attributes and data: images; scripts stay ours alone.
const DOCS_CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ');
