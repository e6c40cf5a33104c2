import { createHash, createHmac } from 'node:crypto';
import t from 'tap';
import { bringInLine } from '../../src/monitor/alerts/evaluate.ts';
import { readFacts } from '../../src/monitor/alerts/facts.ts';
import { RejectionCounter } from '../../src/monitor/rejections.ts';
import { testDatabase } from '../helper.ts';
import { apiOn, type TestApi, testApi } from './client.ts';

const SECRET = 'a-secret-of-zoho';
const OLD = 'the-secret-of-last-year';
const URL = '/webhooks/zoho-books/10/invoice/updated';
const BODY = JSON.stringify({
  invoice: { invoice_id: '1', customer_name: 'Jane Canary', last_modified_time: '2026-10-31T10:00:00+0000' },
});
const sign = (text: string, secret = SECRET) => createHmac('sha256', secret).update(text).digest('hex');

type Sent = { url?: string; body?: string; type?: string; signature?: string; token?: string };

async function send(
  { api }: Pick<TestApi, 'api'>,
  { url = URL, body = BODY, type = 'application/json', ...proof }: Sent,
) {
  const headers = {
    'content-type': type,
    ...(proof.signature !== undefined && { 'x-zoho-webhook-signature': proof.signature }),
    ...(proof.token !== undefined && { 'x-zoho-webhook-token': proof.token }),
  };
  return (await api.inject({ method: 'POST', url, payload: body, headers })).statusCode;
}

async function rejected({ api }: Pick<TestApi, 'api'>, query = '') {
  return (await api.inject(`/dashboard/webhooks/rejected${query}`)).json();
}

t.test('each rejection is counted by its cause', async (t) => {
  const settings = { webhookSecrets: [SECRET], webhookOldSecrets: [OLD], bodyLimit: 2000 };
  const system = await testApi(t, { ...settings, webhookQuery: 'allow' });
  const long = JSON.stringify({ invoice: { invoice_id: '1', notes: 'x'.repeat(3000) } });
  const sent: [Sent, number, string][] = [
    [{}, 401, 'no_signature'],
    [{ signature: 'abc' }, 401, 'malformed_signature'],
    [{ signature: sign(BODY, 'another-secret') }, 401, 'wrong_secret'],
    [{ signature: sign(BODY, OLD) }, 401, 'old_secret'],
    [{ signature: sign(BODY), url: `${URL}?a=b` }, 401, 'right_without_query'],
    [{ signature: sign(BODY), body: long }, 413, 'too_large'],
    [{ signature: sign(BODY), type: 'text/plain' }, 415, 'wrong_type'],
  ];
  for (const [delivery, status, cause] of sent) t.equal(await send(system, delivery), status, cause);
  const answer = await rejected(system);
  t.same(answer.last_24_hours, Object.fromEntries(sent.map(([, , cause]) => [cause, 1])));
  for (const { cause, meaning, path, count } of answer.rejected) {
    t.match(meaning, /\w+\.$/, cause);
    t.same([path, count], [URL, 1]);
  }
  const wrong = answer.rejected.find(({ cause }: { cause: string }) => cause === 'wrong_secret');
  t.match(wrong, { bytes: BODY.length, sha256: createHash('sha256').update(BODY).digest('hex') });
  const large = answer.rejected.find(({ cause }: { cause: string }) => cause === 'too_large');
  t.match(large, { bytes: long.length, sha256: null });
  t.notMatch(JSON.stringify(answer), /Canary/);

  const page = await system.api.inject('/dashboard/webhooks/rejected?limit=5');
  t.equal(page.json().rejected.length, 5);
  t.equal((await rejected(system, `?limit=5&cursor=${page.headers['x-next-cursor']}`)).rejected.length, 2);

  const strict = await apiOn(t, system, settings);
  t.equal(await send(strict, { signature: sign(BODY), url: `${URL}?a=b` }), 400);
  t.equal((await rejected(strict)).last_24_hours.unexpected_query, 1);
});

t.test('where both proofs are demanded it is said which one is wrong', async (t) => {
  const system = await testApi(t, { webhookSecrets: [SECRET], webhookToken: ['a-shared-secret'], webhookAuth: 'both' });
  await send(system, { signature: sign(BODY) });
  await send(system, { token: 'a-shared-secret' });
  await send(system, { signature: sign(BODY, OLD), token: 'a-shared-secret' });
  t.same((await rejected(system)).last_24_hours, { wrong_token: 1, no_signature: 1, wrong_secret: 1 });
});

t.test('what anybody can put into a path does not come out', async (t) => {
  const system = await testApi(t, { webhookSecrets: [SECRET] });
  await send(system, { url: '/webhooks/zoho-books/jane@canary.example/Invoice/Jane%20Canary' });
  t.match((await rejected(system)).rejected, [{ path: '/webhooks/zoho-books/*/Invoice/*' }]);
});

t.test('of a flood only some are examined, and all are counted', async (t) => {
  const system = await testApi(t, { webhookSecrets: [SECRET] });
  const flood = Array.from({ length: 300 }, () => send(system, { signature: sign(BODY, 'another-secret') }));
  await Promise.all(flood);
  const { wrong_secret, not_examined } = (await rejected(system)).last_24_hours;
  t.equal(wrong_secret + not_examined, 300);
  t.ok(not_examined > 0, `${not_examined} were not examined`);
});

t.test('neither memory nor table grows with the paths that strangers invent', async (t) => {
  const { db } = await testDatabase(t);
  const counter = new RejectionCounter(db);
  const one = { cause: 'no_signature', bytes: 1, sha256: null };
  for (let round = 0; round < 8; round += 1) {
    for (let n = 0; n < 1000; n += 1) counter.count({ ...one, path: `/${round}/${n}` });
    await counter.write();
  }
  const { rows, sum, other } = await db
    .selectFrom('tds_webhook_rejections')
    .select(({ fn, eb }) => [
      fn.countAll<string>().as('rows'),
      fn.sum<string>('rejections').as('sum'),
      fn.sum<string>(eb.case().when('path', '=', '*').then(eb.ref('rejections')).else(0).end()).as('other'),
    ])
    .executeTakeFirstOrThrow();
  // Twice 602 when the hour ends in the middle.
  t.ok(Number(rows) <= 1204, `${rows} rows`);
  t.equal(Number(sum), 8000);
  t.ok(Number(other) > 6000);
});

t.test('a database that is away costs no count', async (t) => {
  const { db, pool } = await testDatabase(t);
  const counter = new RejectionCounter(db);
  counter.accepted();
  counter.count({ cause: 'no_signature', path: '/a', bytes: null, sha256: null });
  await pool.query('alter table tds_webhook_intake rename to away');
  await t.rejects(counter.write());
  counter.count({ cause: 'no_signature', path: '/a', bytes: null, sha256: null });
  await pool.query('alter table away rename to tds_webhook_intake');
  await pool.query('truncate tds_webhook_rejections');
  await counter.write();
  const { rows } = await pool.query(
    'select rejections, rejected_since_accepted from tds_webhook_rejections, tds_webhook_intake',
  );
  t.same(rows, [{ rejections: '2', rejected_since_accepted: '2' }]);
});

t.test('the first rejection after a good delivery fires an alert, the next good one ends it', async (t) => {
  const system = await testApi(t, { webhookSecrets: [SECRET] });
  const alerts = async () => {
    await rejected(system);
    const facts = await readFacts(system.db, { failureRateMinEvents: 20, watchedSeconds: 0 });
    const changes = await system.db.transaction().execute((trx) => bringInLine(trx, facts));
    return changes.filter(({ rule }) => rule === 'webhooks_rejected').map(({ change }) => change);
  };
  await send(system, {});
  t.same(await alerts(), [], 'a system that was never connected does not cry');
  t.equal(await send(system, { signature: sign(BODY) }), 202);
  t.same(await alerts(), []);
  await send(system, { signature: sign(BODY, OLD) });
  t.same(await alerts(), ['fired']);
  await send(system, {});
  t.same(await alerts(), [], 'it stands');
  t.equal((await rejected(system)).rejected_since_accepted, 2);
  t.equal(await send(system, { signature: sign(BODY) }), 202);
  t.same(await alerts(), ['resolved']);
});
