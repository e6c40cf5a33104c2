/** Stored tokens, and the sessions that browsers make from a token. */
import { randomUUID } from 'node:crypto';
import t from 'tap';
import { Callers } from '../../src/access/callers.ts';
import { openDatabase } from '../../src/db/database.ts';
import { as, OPERATORS, testApi } from './client.ts';

const { api, db, pool } = await testApi(t, { operators: OPERATORS, basePath: '/tds' });

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const create = (payload: object, headers = as('admin')) =>
  api.inject({ method: 'POST', url: '/dashboard/tokens', headers, payload });
const whoami = (headers: Record<string, string>) => api.inject({ url: '/dashboard/whoami', headers });
const auditOf = async (action: string) =>
  (await pool.query('select * from tds_audit_log where action = $1 order by id', [action])).rows;

async function newToken(role = 'operator'): Promise<{ id: string; name: string; token: string }> {
  return (await create({ name: `ann-${randomUUID()}`, role })).json();
}

t.test('a token is shown once, stored as a hash, and works with its role and name', async (t) => {
  const made = await create({ name: 'anna', role: 'operator', days: 30 });
  t.equal(made.statusCode, 201);
  const { id, token, expires_at } = made.json();
  t.match(token, /^tds_[\w-]{43}$/, '256 bits');
  t.ok(Math.abs(Date.parse(expires_at) - Date.now() - 30 * 86_400_000) < 600_000);
  t.match((await whoami(bearer(token))).json(), { name: 'anna', role: 'operator', session_expires_at: null });
  const stored = JSON.stringify((await pool.query('select * from tds_tokens')).rows);
  t.notMatch(stored, token.slice(4));
  const list = await api.inject({ url: '/dashboard/tokens', headers: as('admin') });
  t.match(list.json(), [{ id, name: 'anna', last_used_at: /^\d{4}/, revoked_at: null, created_by: 'admin' }]);
  t.notMatch(list.body, /sha256|tds_/);
  const audit = await auditOf('token.create');
  t.match(audit, [{ operator: 'admin', target: 'anna', result: 'created', detail: { role: 'operator', days: 30 } }]);
  t.notMatch(JSON.stringify(audit), token);
});

t.test('a name has one token at a time, and none of those of OPERATOR_TOKENS', async (t) => {
  const name = `ann-${randomUUID()}`;
  const { id } = (await create({ name, role: 'viewer' })).json();
  t.match((await create({ name, role: 'viewer' })).json(), { status: 409, code: 'name_taken' });
  t.match((await create({ name: 'admin', role: 'viewer' })).json(), { status: 409, code: 'name_taken' });
  await api.inject({ method: 'POST', url: `/dashboard/tokens/${id}/revoke`, headers: as('admin') });
  t.equal((await create({ name, role: 'viewer' })).statusCode, 201);
  for (const wrong of [
    { name: 'a b', role: 'viewer' },
    { name: 'x', role: 'root' },
    { name: 'x', role: 'viewer', days: 0 },
  ])
    t.equal((await create(wrong)).statusCode, 400, JSON.stringify(wrong));
});

t.test('one that is revoked or has expired is worth nothing, with all sessions made from it', async (t) => {
  const { id, token } = await newToken();
  const cookie = await signIn(token);
  t.equal((await whoami({ cookie })).statusCode, 200);
  const revoke = () => api.inject({ method: 'POST', url: `/dashboard/tokens/${id}/revoke`, headers: as('admin') });
  t.equal((await revoke()).statusCode, 200);
  t.equal((await whoami(bearer(token))).statusCode, 401);
  t.equal((await whoami({ cookie })).statusCode, 401);
  t.match((await revoke()).json(), { status: 409, code: 'already_revoked' });
  t.match((await auditOf('token.revoke'))[0], { before: { revoked: false }, after: { revoked: true } });

  const other = await newToken();
  const session = await signIn(other.token);
  await pool.query(`update tds_tokens set expires_at = now() where id = $1`, [other.id]);
  t.equal((await whoami(bearer(other.token))).statusCode, 401);
  t.equal((await whoami({ cookie: session })).statusCode, 401);
});

t.test('only admins see, make and revoke tokens', async (t) => {
  for (const role of ['viewer', 'operator'])
    t.equal((await create({ name: 'x', role: 'admin' }, as(role))).statusCode, 403, role);
  const denied = (await auditOf('token.create')).filter(({ result }) => result === 'denied');
  t.match(denied, [{ operator: 'viewer' }, { operator: 'operator' }]);
  t.equal((await api.inject({ url: '/dashboard/tokens', headers: as('operator') })).statusCode, 403);
});

t.test('a read that is denied is on record, once a minute', async (t) => {
  const { name, token } = await newToken('viewer');
  for (let n = 0; n < 3; n++) await api.inject({ url: '/dashboard/audit', headers: bearer(token) });
  const denied = (await auditOf('read')).filter(({ operator }) => operator === name);
  t.match(denied, [{ result: 'denied', detail: { path: '/dashboard/audit' } }]);
  t.equal(denied.length, 1);
});

async function signIn(token: string, headers: Record<string, string> = {}): Promise<string> {
  const answer = await api.inject({
    ...{ method: 'POST', url: '/dashboard/session', headers: { ...bearer(token), ...headers } },
  });
  return String(answer.headers['set-cookie']).split(';')[0] ?? '';
}

t.test('a session is a cookie that no script reads and no other site sends', async (t) => {
  const start = (headers = {}) =>
    api.inject({ method: 'POST', url: '/dashboard/session', headers: { ...as('viewer'), ...headers } });
  const plain = await start();
  t.match(plain.json(), { name: 'viewer', role: 'viewer', expires_at: /^\d{4}/ });
  t.match(
    plain.headers['set-cookie'],
    /^tds_session=[\w-]{43}; Path=\/tds; Max-Age=43\d\d\d; HttpOnly; SameSite=Strict$/,
  );
  t.match((await start({ 'x-forwarded-proto': 'https' })).headers['set-cookie'], /; Secure$/);
  t.notMatch(JSON.stringify((await pool.query('select * from tds_sessions')).rows), /tds_session/);
});

t.test('it reads and writes from our own pages only', async (t) => {
  const cookie = await signIn('operator-token');
  const host = 'api.example.com';
  const ask = async (method: 'GET' | 'POST', headers: object) => {
    const url = method === 'GET' ? '/dashboard/queue-stats' : '/dashboard/queue/resume';
    return (await api.inject({ method, url, headers: { cookie, host, ...headers } })).statusCode;
  };
  t.equal(await ask('GET', {}), 200);
  t.equal(await ask('GET', { 'sec-fetch-site': 'none' }), 200, 'from the address bar');
  t.equal(await ask('POST', { 'sec-fetch-site': 'same-origin' }), 200);
  t.equal(await ask('POST', { origin: 'https://api.example.com' }), 200, 'a browser that says no more');
  for (const site of ['cross-site', 'same-site']) {
    t.equal(await ask('GET', { 'sec-fetch-site': site }), 403, site);
    t.equal(await ask('POST', { 'sec-fetch-site': site }), 403, site);
  }
  for (const headers of [
    {},
    { origin: 'null' },
    { origin: 'https://evil.example' },
    { origin: 'https://shop.example.com' },
  ])
    t.equal(await ask('POST', headers), 403, JSON.stringify(headers));
  t.equal(
    await ask('POST', { 'sec-fetch-site': 'cross-site', ...as('operator') }),
    200,
    'a token cannot be sent by others',
  );
});

t.test('it ends on log-out and makes no other session', async (t) => {
  const cookie = await signIn('viewer-token');
  const own = { cookie, 'sec-fetch-site': 'same-origin' };
  const another = await api.inject({ method: 'POST', url: '/dashboard/session', headers: own });
  t.match(another.json(), { status: 400, code: 'token_needed' });
  const ended = await api.inject({ method: 'DELETE', url: '/dashboard/session', headers: own });
  t.equal(ended.statusCode, 204);
  t.match(ended.headers['set-cookie'], /^tds_session=; .*Max-Age=0;/);
  t.equal((await whoami({ cookie })).statusCode, 401);
  t.match((await auditOf('session.end')).at(-1), { operator: 'viewer', result: 'ended' });
});

t.test(
  'without OPERATOR_TOKENS there is nothing to sign in to, and a stored token is known all the same',
  async (t) => {
    const { api: open, pool: other } = await testApi(t);
    const host = 'localhost';
    t.match((await open.inject({ method: 'POST', url: '/dashboard/session', headers: { host } })).json(), {
      ...{ status: 409, code: 'no_token_needed' },
    });
    const payload = { name: 'anna', role: 'viewer' };
    const { token } = (
      await open.inject({ method: 'POST', url: '/dashboard/tokens', headers: { host }, payload })
    ).json();
    const remoteAddress = '192.0.2.1';
    const ask = (headers: Record<string, string>) => open.inject({ url: '/dashboard/whoami', headers, remoteAddress });
    t.match((await ask(bearer(token))).json(), { name: 'anna', role: 'viewer' });
    t.equal((await ask(bearer('wrong'))).statusCode, 403);
    t.match((await open.inject({ url: '/dashboard/whoami', headers: { host, ...bearer('wrong') } })).json(), {
      name: 'local',
    });
    t.same((await other.query('select name from tds_tokens')).rows, [{ name: 'anna' }]);
  },
);

t.test('while the database is away', async (t) => {
  const { token } = await newToken();
  const away = openDatabase({ url: 'postgresql://tds@127.0.0.1:1/nowhere', max: 1, applicationName: 'tds-test' });
  t.teardown(away.close);
  let isAway = false;
  const flaky = new Proxy(db, {
    get: (_target, name) => Reflect.get(isAway ? away.db : db, name).bind(isAway ? away.db : db),
  });
  const callers = new Callers(flaky, OPERATORS);
  const known = await callers.byToken(token);
  if (!known) throw new Error('the token is known');
  const { cookie } = await callers.begin(known, 12);
  t.match(await callers.bySession(cookie), { caller: known.caller });
  isAway = true;

  t.test('tokens of OPERATOR_TOKENS work, and what was seen before', async (t) => {
    t.match(await callers.byToken('admin-token'), { caller: { name: 'admin', role: 'admin' } });
    t.match(await callers.byToken(token), { caller: known.caller });
    t.match(await callers.bySession(cookie), { caller: known.caller });
    await t.rejects(callers.byToken('tds_never-seen'), { code: 'ECONNREFUSED' }, 'nobody can say who that is');
  });

  t.test('a session that begins then is kept, and is there when the database is back', async (t) => {
    const admin = await callers.byToken('admin-token');
    if (!admin) throw new Error('the token is known');
    const begun = await callers.begin(admin, 12);
    t.match(await callers.bySession(begun.cookie), { caller: { name: 'admin' } });
    isAway = false;
    t.match(await callers.bySession(begun.cookie), { caller: { name: 'admin' } });
    t.match(
      await new Callers(db, OPERATORS).bySession(begun.cookie),
      { caller: { name: 'admin' } },
      'for other processes too',
    );
  });
});
