import type { RouteOptions } from 'fastify';
import Fastify from 'fastify';
import t from 'tap';
import type { Api } from '../../src/api/deps.ts';
import { watchRoutes } from '../../src/api/plugins/route-table.ts';
import { as, OPERATORS, testApi } from './client.ts';

const ID = '00000000-0000-4000-8000-000000000001';

t.test('with tokens set', async (t) => {
  const { api } = await testApi(t, { operators: OPERATORS });
  const routes = await routesOf(api);

  t.test('every operation but webhooks and health demands a token and the right role', async (t) => {
    t.ok(routes.length >= 15, `${routes.length} operations`);
    for (const [number, { method, url, role }] of routes.filter((route) => route.role !== null).entries()) {
      const name = `${method} ${url}`;
      const anonymous = await api.inject({ method, url });
      t.equal(anonymous.statusCode, 401, `${name} without a token`);
      t.match(anonymous.headers['www-authenticate'], /^Bearer/);
      // From everywhere, or the sweep itself would be taken for a guesser.
      const remoteAddress = `192.0.2.${number}`;
      const stranger = await api.inject({ method, url, headers: as('stranger'), remoteAddress });
      t.equal(stranger.statusCode, 401, `${name} with an unknown token`);
      t.equal((await api.inject({ method, url: `${url}?token=viewer-token` })).statusCode, 401, `${name}, query`);
      const viewer = await api.inject({ method, url, headers: as('viewer') });
      if (role === 'viewer') t.not(viewer.statusCode, 403, `${name} as viewer`);
      else t.equal(viewer.statusCode, 403, `${name} as viewer`);
      t.notOk([401, 403].includes((await api.inject({ method, url, headers: as('admin') })).statusCode), name);
    }
  });

  t.test('only webhooks, health and the pages without data are open', async (t) => {
    const open = routes.filter((route) => route.role === null).map((route) => route.path);
    t.same(
      open.filter((path) => !path.startsWith('/webhooks/')),
      ['/health', '/livez', '/readyz'],
    );
    for (const page of ['/dashboard/', '/docs/']) t.equal((await api.inject(page)).statusCode, 200, page);
    t.equal((await api.inject('/docs/json')).statusCode, 401);
  });

  t.test('the answers to a missing and to a wrong token are the same', async (t) => {
    const body = async (headers: Record<string, string>) => {
      const { request_id, ...rest } = (await api.inject({ url: '/dashboard/metrics', headers })).json();
      return rest;
    };
    t.same(await body({}), await body(as('wrong')));
  });
});

t.test('without tokens', async (t) => {
  const { api, db } = await testApi(t);
  const status = async (
    headers: Record<string, string>,
    remoteAddress = '127.0.0.1',
    method: 'GET' | 'POST' = 'GET',
  ) => {
    const url = method === 'GET' ? '/dashboard/queue-stats' : `/dashboard/alerts/${ID}/acknowledge`;
    return (await api.inject({ method, url, headers, remoteAddress })).statusCode;
  };

  t.test('the machine itself may call, by any of its own names', async (t) => {
    for (const host of ['localhost:8000', '127.0.0.1', '[::1]:8000']) t.equal(await status({ host }), 200, host);
    t.equal(await status({ host: 'localhost' }, '::1'), 200);
    t.equal(await status({ host: 'localhost' }, '::ffff:127.0.0.1'), 200);
  });

  t.test('nobody else may, neither directly nor through a proxy', async (t) => {
    t.equal(await status({ host: 'localhost' }, '192.0.2.7'), 403);
    const forwarded = {
      forwarded: 'for=127.0.0.1',
      via: '1.1 proxy',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': 'localhost',
      'x-forwarded-proto': 'http',
      'x-real-ip': '127.0.0.1',
    };
    for (const [name, value] of Object.entries(forwarded)) {
      t.equal(await status({ host: 'localhost', [name]: value }), 403, name);
    }
  });

  t.test('a name that merely resolves to this machine is refused (DNS rebinding)', async (t) => {
    for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.evil.example', '10.0.0.1']) {
      t.equal(await status({ host }), 403, host);
    }
  });

  t.test('a form or script of another site cannot act through the browser', async (t) => {
    const host = 'localhost:8000';
    t.equal(await status({ host, 'sec-fetch-site': 'cross-site' }, '127.0.0.1', 'POST'), 403);
    t.equal(await status({ host, origin: 'https://evil.example' }, '127.0.0.1', 'POST'), 403);
    t.equal(await status({ host, origin: 'null' }, '127.0.0.1', 'POST'), 403);
    t.equal(await status({ host, 'sec-fetch-site': 'same-origin' }, '127.0.0.1', 'POST'), 404);
    t.equal(await status({ host, origin: 'http://localhost:8000' }, '127.0.0.1', 'POST'), 404);
  });

  t.test('every write is audited, also one that finds nothing', async (t) => {
    await status({ host: 'localhost' }, '127.0.0.1', 'POST');
    const row = await db.selectFrom('tds_audit_log').selectAll().orderBy('id', 'desc').executeTakeFirst();
    t.match(row, { operator: 'local', action: 'alert.acknowledge', target: ID, result: 'not_found' });
  });
});

t.test('a route that forgets its role or its action stops the start', async (t) => {
  const start = async (route: Partial<RouteOptions>) => {
    const api = Fastify() as unknown as Api;
    watchRoutes(api);
    api.route({ method: 'GET', url: '/x', handler: async () => 'x', ...route });
    await api.ready();
  };
  await t.rejects(start({}), /declares no role/);
  await t.rejects(start({ config: { role: 'everybody' as never } }), /declares no role/);
  await t.rejects(start({ method: 'POST', config: { role: 'operator' } }), /names no action/);
  await t.resolves(start({ method: 'POST', config: { role: 'operator', action: 'x.y' } }));
});

type Operation = { method: 'GET' | 'POST'; path: string; url: string; role: string | null };

/** Every operation of the API description, with the role it claims to need; null when it is open. */
async function routesOf(api: Api): Promise<Operation[]> {
  const { paths } = (await api.inject({ url: '/docs/json', headers: as('viewer') })).json();
  return Object.entries(paths as Record<string, Record<string, { security: unknown[]; description?: string }>>).flatMap(
    ([path, operations]) =>
      Object.entries(operations).map(([method, { security, description }]) => ({
        method: method.toUpperCase() as 'GET',
        path,
        url: path.replace(/\{\w+\}/g, ID),
        role: security.length === 0 ? null : (/role (\w+)/.exec(description ?? '')?.[1] ?? 'undeclared'),
      })),
  );
}
