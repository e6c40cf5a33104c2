import t from 'tap';
import { testApi } from './client.ts';

type Operation = {
  summary?: string;
  tags?: string[];
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>;
  parameters?: { name: string; in: string; required?: boolean; description?: string }[];
};

const { api } = await testApi(t);
const description = (await api.inject('/docs/json')).json();
const operations = Object.entries(description.paths as Record<string, Record<string, Operation>>).flatMap(
  ([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

t.test('the description is OpenAPI 3.1', async (t) => {
  t.match(description.openapi, /^3\.1\./);
  t.match(description.info, { title: 'TDS Core', version: '1.0.0' });
});

t.test('every operation has a summary, a tag, a described answer and the shape of its errors', async (t) => {
  for (const { path, method, operation } of operations) {
    const name = `${method} ${path}`;
    t.ok(operation.summary, `${name}: summary`);
    t.ok(operation.tags?.length, `${name}: tags`);
    const success = Object.keys(operation.responses).filter((status) => status.startsWith('2'));
    t.ok(success.length > 0, `${name}: success`);
    t.ok(operation.responses.default?.content?.['application/problem+json']?.schema, `${name}: problem`);
  }
});

t.test('the parameters of a path are exactly those in its URL', async (t) => {
  for (const { path, method, operation } of operations) {
    const inUrl = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();
    const declared = (operation.parameters ?? []).filter((parameter) => parameter.in === 'path');
    t.same(declared.map((parameter) => parameter.name).sort(), inUrl, `${method} ${path}`);
    t.ok(declared.every((parameter) => parameter.required));
  }
});

t.test('every list says how many it gives at once, how to go on, and which values it takes', async (t) => {
  const lists = operations.filter(({ operation }) => operation.parameters?.some(({ name }) => name === 'cursor'));
  t.ok(lists.length >= 2);
  for (const { path, operation } of lists) {
    const told = Object.fromEntries((operation.parameters ?? []).map(({ name, description }) => [name, description]));
    const [howMany, next] =
      path === '/dashboard/changes' ? [/1 to 500/, /next_cursor/] : [/1 to 200.*X-Total-Count/, /X-Next-Cursor/];
    t.match(told.limit, howMany, path);
    t.match(told.cursor, next, path);
  }
});

t.test('every route of the operations guide is described', async (t) => {
  const described = new Set(operations.map(({ method, path }) => `${method} ${path}`));
  const expected = [
    'get /health',
    'get /livez',
    'get /readyz',
    'get /dashboard/metrics',
    'get /dashboard/queue-stats',
    'get /dashboard/recent-events',
    'get /dashboard/dead-letter',
    'post /dashboard/dead-letter/{id}/retry',
    'post /dashboard/alerts/{id}/acknowledge',
    'post /webhooks/zoho-books',
    'put /webhooks/zoho-books/{organization_id}/{module}/{action}',
  ];
  for (const route of expected) t.ok(described.has(route), route);
});

t.test('schemas use the forms of 3.1: null is a type, not an attribute', async (t) => {
  t.notMatch(JSON.stringify(description), /"nullable"/);
});
