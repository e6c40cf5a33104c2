import { createHmac } from 'node:crypto';
import t from 'tap';
import { as, OPERATORS, testApi } from './client.ts';

const SECRET = 'a secret of the webhook';
const { api, pool } = await testApi(t, { operators: OPERATORS, rateLimitPerMinute: 5, webhookSecrets: [SECRET] });

const ask = (url: string, remoteAddress: string, headers = as('viewer')) => api.inject({ url, headers, remoteAddress });

t.test('more requests a minute than allowed are answered 429, from whoever and for whatever', async (t) => {
  const urls = ['/dashboard/queue-stats', '/dashboard/whoami', '/dashboard/', '/dashboard/queue-stats', '/docs/json'];
  for (const url of urls) t.equal((await ask(url, '192.0.2.1')).statusCode, 200, url);
  const refused = await ask('/dashboard/queue-stats', '192.0.2.1');
  t.match(refused.json(), { status: 429, code: 'too_many_requests', detail: /Try again in \d+ seconds/ });
  t.ok(Number(refused.headers['retry-after']) > 0 && Number(refused.headers['retry-after']) <= 60);
  t.equal((await ask('/dashboard/queue-stats', '192.0.2.2')).statusCode, 200, 'another address is another matter');
});

t.test('guessed cookies are counted as well, before they cost a statement', async (t) => {
  const headers = { cookie: `tds_session=${'a'.repeat(43)}` };
  const statuses = [];
  for (let n = 0; n < 7; n++)
    statuses.push((await api.inject({ url: '/metrics', headers, remoteAddress: '192.0.2.3' })).statusCode);
  t.same(new Set(statuses.slice(5)), new Set([429]));
});

t.test('health is never refused, and no delivery that proves itself', async (t) => {
  for (let n = 0; n < 20; n++) t.equal((await ask('/health', '192.0.2.1')).statusCode, 200);
  for (let n = 0; n < 20; n++) {
    const payload = JSON.stringify({ contact: { contact_id: String(n), contact_name: 'Example Ltd' } });
    const signature = createHmac('sha256', SECRET).update(payload).digest('hex');
    const headers = { 'content-type': 'application/json', 'x-zoho-webhook-signature': signature };
    const url = '/webhooks/zoho-books/10/contact/created';
    const answer = await api.inject({ method: 'POST', url, headers, payload, remoteAddress: '192.0.2.1' });
    t.equal(answer.statusCode, 202, answer.body);
  }
  t.equal((await pool.query('select from tds_sync_queue')).rowCount, 20);
});
