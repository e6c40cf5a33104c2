import { createHmac } from 'node:crypto';
import t from 'tap';
import { buildApp } from '../../src/api/app.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { createLogger } from '../../src/log.ts';
import { testDatabase } from '../helper.ts';
import { type TestApi, testApi } from './client.ts';

const SECRET = 'a-secret-of-zoho';
const URL = '/webhooks/zoho-books/10/invoice/updated';
const BODY = JSON.stringify({ invoice: { invoice_id: '1', last_modified_time: '2026-10-31T10:00:00+0000' } });

const sign = (body: string, secret = SECRET) => createHmac('sha256', secret).update(body).digest('hex');

type Sent = {
  body?: string | Buffer;
  url?: string;
  method?: 'POST' | 'PUT' | 'DELETE';
  headers?: Record<string, string>;
};

function send({ api }: TestApi, { body = BODY, url = URL, method = 'POST', headers = {} }: Sent) {
  return api.inject({ method, url, payload: body, headers: { 'content-type': 'application/json', ...headers } });
}

const signed = (body = BODY, secret = SECRET) => ({ 'x-zoho-webhook-signature': sign(body, secret) });

t.test('with a secret', async (t) => {
  const system = await testApi(t, { webhookSecrets: [SECRET, 'the-secret-before'], bodyLimit: 2000 });
  const events = async () => {
    const { rows } = await system.pool.query('select count(*)::int as n from tds_inbox_events');
    return rows[0].n as number;
  };

  t.test('a signed delivery is accepted, and its repeat answers the same id', async (t) => {
    const first = await send(system, { headers: signed() });
    t.equal(first.statusCode, 202);
    const { event_id, ...rest } = first.json();
    t.same(rest, { success: true, status: 'queued', duplicate: false });
    const repeat = await send(system, { headers: signed() });
    t.equal(repeat.statusCode, 202);
    t.same(repeat.json(), { success: true, event_id, status: 'queued', duplicate: true });
    t.equal(await events(), 1);
  });

  t.test('the previous secret and upper-case hex are accepted too', async (t) => {
    t.equal((await send(system, { headers: signed(BODY, 'the-secret-before') })).statusCode, 202);
    const upper = { 'x-zoho-webhook-signature': sign(BODY).toUpperCase() };
    t.equal((await send(system, { headers: upper })).statusCode, 202);
  });

  t.test('a missing, wrong, short or empty signature gets one and the same 401, and nothing is stored', async (t) => {
    const before = await events();
    const attempts = [
      undefined,
      sign('other'),
      sign(BODY).slice(0, 63),
      '',
      Buffer.from(sign(BODY), 'hex').toString('base64'),
    ];
    const answers = await Promise.all(
      attempts.map((value) =>
        send(system, { headers: value === undefined ? {} : { 'x-zoho-webhook-signature': value } }),
      ),
    );
    const shapes = new Set(
      answers.map(({ statusCode, body, headers }) => {
        const { request_id, ...problem } = JSON.parse(body);
        return JSON.stringify([statusCode, problem, Object.keys(headers).sort()]);
      }),
    );
    t.equal(shapes.size, 1);
    t.equal(answers[0]?.statusCode, 401);
    t.equal(await events(), before);
  });

  t.test('a body changed after signing is refused', async (t) => {
    t.equal((await send(system, { body: BODY.replace('"1"', '"2"'), headers: signed() })).statusCode, 401);
  });

  t.test("Zoho's check call needs no signature and is no event", async (t) => {
    const before = await events();
    const form = { 'content-type': 'application/x-www-form-urlencoded' };
    for (const call of [{ body: 'payload=', headers: form }, { body: '{"payload": ""}' }]) {
      const answer = await send(system, { ...call, url: '/webhooks/zoho-books' });
      t.equal(answer.statusCode, 200);
      t.match(answer.json(), { success: true });
    }
    t.equal(await events(), before);
  });

  t.test('an authentic delivery that cannot be read is quarantined with the reason and its bytes', async (t) => {
    const body = '{"invoice":';
    const answer = await send(system, { body, headers: signed(body) });
    t.equal(answer.statusCode, 202);
    t.match(answer.json(), {
      success: true,
      status: 'quarantined',
      duplicate: false,
      reason: String,
      event_id: String,
    });
    const [letter] = (await system.api.inject('/dashboard/dead-letter')).json();
    t.equal(Buffer.from(letter.raw_body_base64, 'base64').toString(), body);
  });

  t.test('every method and every depth of the path is accepted, a stray ? or & too', async (t) => {
    const urls = [
      URL,
      '/webhooks/zoho-books',
      '/webhooks/zoho-books/10',
      '/webhooks/zoho-books/10/invoice',
      `${URL}?`,
      `${URL}?&`,
    ];
    for (const method of ['POST', 'PUT', 'DELETE'] as const) {
      for (const url of urls) {
        t.equal((await send(system, { method, url, headers: signed() })).statusCode, 202, `${method} ${url}`);
      }
    }
  });

  t.test('an oversized body is refused before its signature is looked at', async (t) => {
    const body = JSON.stringify({ invoice: { invoice_id: '1', notes: 'x'.repeat(2000) } });
    const answer = await send(system, { body, headers: signed(body) });
    t.equal(answer.statusCode, 413);
    t.equal(answer.json().code, 'payload_too_large');
  });

  for (const [name, headers] of [
    ['gzip', { 'content-encoding': 'gzip' }],
    ['deflate', { 'content-encoding': 'deflate' }],
    ['XML', { 'content-type': 'text/xml' }],
    ['plain text', { 'content-type': 'text/plain' }],
    ['multipart', { 'content-type': 'multipart/form-data; boundary=x' }],
  ] as const) {
    t.test(`${name} is refused with 415`, async (t) => {
      const answer = await send(system, { headers: { ...signed(), ...headers } });
      t.equal(answer.statusCode, 415);
      t.match(answer.headers['content-type'], 'application/problem+json');
    });
  }

  t.test('a body without a content type is refused with 415', async (t) => {
    const answer = await system.api.inject({ method: 'POST', url: URL, payload: Buffer.from(BODY), headers: signed() });
    t.equal(answer.statusCode, 415);
  });

  t.test('JSON under a vendor type is read as JSON', async (t) => {
    const headers = { ...signed(), 'content-type': 'application/vnd.zoho+json; charset=utf-8' };
    t.equal((await send(system, { headers })).statusCode, 202);
  });

  t.test('a method override header changes nothing', async (t) => {
    const answer = await send(system, { headers: { ...signed(), 'x-http-method-override': 'GET' } });
    t.equal(answer.statusCode, 202);
  });
});

t.test('with a shared-secret header', async (t) => {
  const token = { 'x-zoho-webhook-token': 'a-shared-secret' };

  t.test('either proof is enough by default', async (t) => {
    const system = await testApi(t, { webhookSecrets: [SECRET], webhookToken: ['a-shared-secret'] });
    t.equal((await send(system, { headers: token })).statusCode, 202);
    t.equal((await send(system, { headers: signed() })).statusCode, 202);
    t.equal((await send(system, {})).statusCode, 401);
  });

  t.test('WEBHOOK_AUTH=both demands both', async (t) => {
    const system = await testApi(t, {
      webhookSecrets: [SECRET],
      webhookToken: ['a-shared-secret'],
      webhookAuth: 'both',
    });
    t.equal((await send(system, { headers: token })).statusCode, 401);
    t.equal((await send(system, { headers: signed() })).statusCode, 401);
    t.equal((await send(system, { headers: { ...signed(), ...token } })).statusCode, 202);
  });
});

t.test('without any secret', async (t) => {
  const system = await testApi(t);
  const events = async () => (await system.pool.query('select from tds_inbox_events')).rowCount;

  t.test('this machine may deliver', async (t) => {
    t.equal((await send(system, {})).statusCode, 202);
    t.equal(
      (await send(system, { headers: { origin: 'http://localhost:8000', host: 'localhost:8000' } })).statusCode,
      202,
    );
  });

  t.test('nobody else may: no other host, no proxy, no page of another site', async (t) => {
    const before = await events();
    const strangers: Record<string, string>[] = [
      { host: 'evil.example' },
      { host: '192.0.2.1' },
      { 'x-forwarded-for': '192.0.2.1' },
      { forwarded: 'for=192.0.2.1' },
      { 'x-real-ip': '127.0.0.1' },
      { via: '1.1 nginx' },
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ];
    for (const headers of strangers) {
      const answer = await send(system, { headers, url: '/webhooks/zoho-books/10/contact/deleted' });
      t.equal(answer.statusCode, 403, JSON.stringify(headers));
      t.match(answer.json(), { code: /local_only|cross_site/ });
    }
    const remote = { method: 'POST', url: URL, payload: BODY, remoteAddress: '192.0.2.1' } as const;
    const answer = await system.api.inject({ ...remote, headers: { 'content-type': 'application/json' } });
    t.equal(answer.statusCode, 403);
    t.match(answer.json().detail, /ZOHO_WEBHOOK_SECRET/);
    t.equal(await events(), before, 'and nothing is stored');
  });

  t.test('with a secret the same are welcome', async (t) => {
    const proved = await testApi(t, { webhookSecrets: [SECRET] });
    const proxied = { host: 'api.example.com', 'x-forwarded-for': '192.0.2.1', via: '1.1 nginx' };
    t.equal((await send(proved, { headers: { ...signed(), ...proxied } })).statusCode, 202);
  });
});

t.test('query parameters', async (t) => {
  const url = `${URL}?name=basic&subscription_id=90343`;
  const proof = { 'x-zoho-webhook-signature': sign(`namebasicsubscription_id90343${BODY}`) };

  t.test('are refused, signed or not, because nobody can tell them from the body', async (t) => {
    const system = await testApi(t, { webhookSecrets: [SECRET] });
    for (const headers of [proof, {}]) {
      const answer = await send(system, { url, headers });
      t.equal(answer.statusCode, 400);
      t.match(answer.json(), { code: 'unexpected_query', detail: /WEBHOOK_QUERY=allow/ });
    }
    for (const left of ['?', '&', '?&', '&&??']) {
      t.equal((await send(system, { url: URL + left, headers: signed() })).statusCode, 202, `${left} is no query`);
    }
  });

  t.test('are accepted when they are signed and WEBHOOK_QUERY allows them', async (t) => {
    const system = await testApi(t, { webhookSecrets: [SECRET], webhookQuery: 'allow' });
    t.equal((await send(system, { url, headers: proof })).statusCode, 202);
    t.equal((await send(system, { url: `${url}1`, headers: proof })).statusCode, 401);
    const flood = `${URL}?${'a&'.repeat(7000)}b`;
    t.equal(
      (await send(system, { url: flood, headers: signed() })).statusCode,
      401,
      'a flood of them is not even read',
    );
  });
});

t.test('the start warns of what a captured delivery could do', async (t) => {
  const { db, pool } = await testDatabase(t);
  const warningsOf = async (overrides: Partial<Config>) => {
    const warnings: string[] = [];
    const log = createLogger('tds-core-test', 'silent');
    log.warn = (_fields: object, message?: string) => void warnings.push(message ?? '');
    const config = { ...loadConfig({ NODE_ENV: 'test' }), ...overrides };
    const inbox = { accept: () => Promise.reject(new Error('nothing is sent')) };
    await (await buildApp({ config, log, db, pool, inbox })).close();
    return warnings;
  };
  const webhookToken = ['a-shared-secret'];
  t.match(await warningsOf({}), [/without proof: set ZOHO_WEBHOOK_SECRET/]);
  t.match(await warningsOf({ webhookSecrets: [SECRET] }), [/another path: set ZOHO_WEBHOOK_TOKEN/]);
  t.match(await warningsOf({ webhookSecrets: [SECRET], webhookToken }), [/set WEBHOOK_AUTH=both/]);
  t.same(await warningsOf({ webhookSecrets: [SECRET], webhookToken, webhookAuth: 'both' }), []);
  t.same(await warningsOf({ webhookToken }), []);
});
