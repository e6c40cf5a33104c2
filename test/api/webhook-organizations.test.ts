/** Each organization signs with its own secret. */
import { createHmac } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { loadConfig } from '../../src/config.ts';
import { type TestApi, testApi } from './client.ts';

const [SHARED, OF_TEN, BEFORE, OF_TWENTY] = [
  'the-shared-secret',
  'secret-of-ten-00',
  'secret-before-10',
  'secret-of-twenty',
];
const file = path.join(t.testdir(), 'organizations.json');
writeFileSync(
  file,
  JSON.stringify([
    { organization_id: '10', webhook_secret: `${OF_TEN},${BEFORE}` },
    { organization_id: '20', webhook_secret: OF_TWENTY },
    { organization_id: '30' },
  ]),
);

let ids = 0;
const body = (more: object = {}) =>
  JSON.stringify({ invoice: { invoice_id: String(++ids), last_modified_time: '2026-10-31T10:00:00+0000' }, ...more });

async function send({ api }: Pick<TestApi, 'api'>, url: string, secret: string, payload = body(), token?: string) {
  const signature = createHmac('sha256', secret).update(payload).digest('hex');
  const headers = {
    ...{ 'content-type': 'application/json', 'x-zoho-webhook-signature': signature },
    ...(token !== undefined && { 'x-zoho-webhook-token': token }),
  };
  return (await api.inject({ method: 'POST', url: `/webhooks/zoho-books${url}`, payload, headers })).statusCode;
}

t.test('a delivery is proved by the secret of the organization it is for', async (t) => {
  const config = loadConfig({ ZOHO_ORGANIZATIONS_FILE: file, ZOHO_WEBHOOK_SECRET: SHARED, ZOHO_ORGANIZATION_ID: '20' });
  const system = await testApi(t, config);
  const cases: [url: string, secret: string, status: number, payload?: string][] = [
    ['/10/invoice', OF_TEN, 202],
    ['/10/invoice', BEFORE, 202],
    ['/10%26/invoice', OF_TEN, 202],
    ['/10/invoice', OF_TWENTY, 401],
    ['/10/invoice', SHARED, 401],
    ['/20/invoice', OF_TWENTY, 202],
    ['/30/invoice', SHARED, 202],
    ['/40/invoice', SHARED, 202],
    ['/30/invoice', OF_TEN, 401],
    ['', OF_TWENTY, 202],
    ['', OF_TEN, 401],
    // The body names another organization than the one whose secret it has.
    ['', OF_TWENTY, 401, body({ organization_id: '10' })],
    ['/10/invoice', OF_TEN, 202, body({ organization_id: '20' })],
  ];
  for (const [url, secret, status, payload] of cases)
    t.equal(await send(system, url, secret, payload), status, `${url} ${secret} ${payload ?? ''}`);
  const { rows } = await system.pool.query(
    'select organization_id as id, count(*)::int as n from tds_inbox_events group by 1 order by 1',
  );
  t.same(rows, [
    { id: '10', n: 4 },
    { id: '20', n: 2 },
    { id: '30', n: 1 },
    { id: '40', n: 1 },
  ]);
});

t.test("another organization's secret is counted as such, and as nothing that was accepted", async (t) => {
  const system = await testApi(t, loadConfig({ ZOHO_ORGANIZATIONS_FILE: file, ZOHO_WEBHOOK_SECRET: SHARED }));
  t.equal(await send(system, '/10/invoice', OF_TWENTY), 401);
  t.equal(await send(system, '/30', SHARED, body({ organization_id: '30' })), 202);
  t.equal(await send(system, '', SHARED, body({ organization_id: '20' })), 401);
  t.equal(await send(system, '/10/invoice', 'a-secret-of-nobody'), 401);
  const answer = (await system.api.inject('/dashboard/webhooks/rejected')).json();
  t.same(answer.last_24_hours, { other_organization: 2, wrong_secret: 1 });
  t.equal(answer.rejected_since_accepted, 2, 'the one whose body names another organization was not accepted');
});

t.test('with WEBHOOK_AUTH=both the token proves no organization', async (t) => {
  const token = 'a-token-that-all-share';
  const config = loadConfig({ ZOHO_ORGANIZATIONS_FILE: file, ZOHO_WEBHOOK_TOKEN: token, WEBHOOK_AUTH: 'both' });
  const system = await testApi(t, config);
  t.equal(await send(system, '/10/invoice', OF_TEN, body(), token), 202);
  t.equal(await send(system, '/10/invoice', OF_TWENTY, body(), token), 401);
  t.equal(await send(system, '/10/invoice', OF_TEN), 401);
  t.equal(await send(system, '/30/invoice', OF_TEN, body(), token), 401, 'one without a secret takes none');
});
