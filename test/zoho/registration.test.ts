/** Who a token is, and the workflow rules and webhooks that are made in Zoho Books, against the stand-in. */
import t, { type Test } from 'tap';
import { loadConfig } from '../../src/config.ts';
import { readAutomation } from '../../src/zoho/command/check.ts';
import { leftToDo, type Registration, registerWebhooks } from '../../src/zoho/command/register.ts';
import { compareRules } from '../../src/zoho/command/rules.ts';
import { whoami } from '../../src/zoho/command/whoami.ts';
import { booksModules } from '../../src/zoho/modules/modules.ts';
import { tds } from '../cli/tds.ts';
import { type TestDatabase, testDatabase } from '../helper.ts';
import { clientOf } from './calling.ts';
import { StandIn } from './stand-in.ts';

const BASE = 'https://api.example.com/tds';
const SECRET = 'canary0123456789secret';

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

let organizations = 700;

async function start(t: Test, settings: Record<string, string> = {}) {
  organizations += 1;
  const standIn = await StandIn.start(t, { organizationId: String(organizations) });
  // Each its own credential: a token is shared by all who have the same.
  standIn.accounts.refreshToken = `canary-refresh-token-${organizations}`;
  const config = () =>
    loadConfig({
      ...{ ...standIn.environment, DATABASE_URL: database.url, TDS_DATA_DIR: t.testdir(), NODE_ENV: 'test' },
      ...{ ZOHO_WEBHOOK_SECRET: SECRET, ...settings },
    });
  const register = (modules: string | undefined, agrees = true) =>
    registerWebhooks(config(), { base: `${BASE}/`, modules, paceMs: 0 }, async () => agrees);
  return { standIn, config, register };
}

const states = ([registration]: Registration[]) => registration?.rules.map(({ state }) => state);

t.test('whoami names account, data centre, organizations and scopes, and never the token', async (t) => {
  const { standIn, config } = await start(t, { ZOHO_DC: 'eu' });
  const ran = await tds(['zoho', 'whoami', '-o', 'json'], config());
  t.equal(ran.code, 0, ran.err);
  t.match(JSON.parse(ran.out), [
    {
      ...{ organization_id: standIn.organizationId, account: 'Example User <user@example.com>', data_centre: 'eu' },
      ...{ accounts_url: standIn.url, api_url: `${standIn.url}/books/v3`, reachable: true, missing_scopes: [] },
      organizations: [{ id: standIn.organizationId, name: 'Zillium Inc', timeZone: 'America/New_York' }],
      scopes: ['ZohoBooks.fullaccess.all', 'ZohoInventory.fullaccess.all'],
    },
  ]);
  const table = await tds(['zoho', 'whoami'], config());
  t.match(table.out, /^organization {2}\d+\naccount +Example User <user@example\.com>\ndata centre +eu /);
  for (const secret of [standIn.accounts.refreshToken, standIn.accounts.clientSecret, ...standIn.accounts.given])
    t.notMatch(ran.out + ran.err + table.out, secret);
});

t.test('whoami says what lacks: scopes, the organization, the name of the user', async (t) => {
  const { standIn, config } = await start(t);
  standIn.accounts.scope = 'ZohoBooks.settings.READ,ZohoBooks.invoices.ALL';
  standIn.api.allows = (path) => path !== '/users/me';
  standIn.api.organizations = [];
  const [identity] = await whoami(config(), undefined);
  t.match(identity, { account: null, reachable: false });
  t.ok(identity?.missing_scopes.includes('ZohoBooks.bills.READ'));
  t.notOk(identity?.missing_scopes.includes('ZohoBooks.invoices.READ'));
  t.match(await tds(['zoho', 'whoami'], config()), { code: 1, out: /cannot reach: set ZOHO_ORGANIZATION_ID/ });
  t.match(await tds(['zoho', 'whoami', '--organization', '1'], config()), { code: 2, err: /no such organization/ });
});

t.test('what is missing is created once, and check finds nothing to complain of', async (t) => {
  const { standIn, register } = await start(t);
  const everything = await register(undefined);
  t.ok(states(everything)?.every((state) => state === 'created'));
  t.equal(standIn.api.webhooks.length, (booksModules.length + 1) * 2, 'two a module, and contacts are two entities');
  t.match(
    standIn.api.webhooks.find(({ entity, url }) => entity === 'customer_payment' && String(url).endsWith('/upsert')),
    {
      ...{ method: 'POST', secret: SECRET, webhook_name: 'TDS Core customer payment changes' },
      url: `${BASE}/webhooks/zoho-books/${standIn.organizationId}/customerpayment/upsert`,
    },
  );
  t.notOk(standIn.api.webhooks.some((webhook) => 'body_type' in webhook || 'headers' in webhook));
  t.ok(standIn.api.workflows.every(({ apply_rule_always: always }) => always === true));
  t.ok(standIn.api.webhooks.every(({ webhook_name: name }) => String(name).length <= 50));

  const { rules, webhooks } = await readAutomation(clientOf(standIn, database.db), 0);
  const names = booksModules.map(({ name }) => name);
  const { organizationId } = standIn;
  for (const { module, problems } of compareRules(names, rules, webhooks, { organizationId, baseUrl: BASE }))
    t.same(problems, [], module);
  t.ok(states(await register(undefined))?.every((state) => state === 'there'));
  t.equal(standIn.api.webhooks.length, (booksModules.length + 1) * 2, 'nothing is made twice');
  t.notMatch(JSON.stringify(everything), SECRET);
});

t.test('each creation is on record', async (t) => {
  const { standIn, register } = await start(t);
  await register('bill');
  const rows = await database.db
    .selectFrom('tds_audit_log')
    .select(['action', 'result', 'detail'])
    .where('target', '=', standIn.organizationId)
    .execute();
  t.match(rows, [
    { action: 'zoho.register_webhook', result: 'created', detail: { rule_type: 'add_edit' } },
    { detail: { rule_type: 'delete', url: /\/bill\/deleted$/ } },
  ]);
});

t.test('--dry-run shows the exact address, proof and body, and creates nothing', async (t) => {
  const { standIn, config } = await start(t);
  const words = ['zoho', 'register-webhooks', '--base', BASE, '--modules', 'invoice'];
  const ran = await tds([...words, '--dry-run'], config());
  t.match(ran, {
    code: 0,
    out: /body Default Payload, "I want to secure this webhook" with the webhook secret whose SHA-256 begins [0-9a-f]{8}/,
  });
  t.match(ran.out, `${BASE}/webhooks/zoho-books/${standIn.organizationId}/invoice/upsert`);
  t.match(ran.out, /Workflow Rules > New Rule: name "TDS Core invoice deletions", module invoice, when it is deleted/);
  t.notMatch(ran.out + ran.err, SECRET);
  t.match(await tds(words, config()), { code: 2, err: /add --yes/ }, 'nobody can be asked here');
  t.same([standIn.api.webhooks, standIn.api.workflows], [[], []]);
});

t.test('a module that Zoho does not take is left to a person, and the others are made', async (t) => {
  const { standIn, register } = await start(t);
  standIn.api.refuses = (_, { entity }) =>
    entity === 'journal' ? { status: 400, text: '{"code":15,"message":"Invalid value passed for entity"}' } : undefined;
  const made = await register('journal,bill');
  t.same(states(made), ['by hand', 'by hand', 'created', 'created']);
  const [registration] = made;
  t.match(registration && leftToDo(registration), [
    /Invalid value passed for entity[\s\S]*New Webhook: name "TDS Core journal changes", module journal, method POST, URL/,
    /journal deletions/,
    /^retry policy: none/,
  ]);
});

t.test('a token that may not write creates nothing, and says which scope it needs', async (t) => {
  const { standIn, register } = await start(t);
  standIn.api.allows = (path) => !path.startsWith('POST');
  const [registration] = await register('invoice,bill');
  t.same(
    registration?.rules.map(({ state, problem }) => [state, problem !== null]),
    [['missing', true], ...Array(3).fill(['missing', false])],
    'it stops at the first refusal',
  );
  t.match(registration?.rules[0]?.problem, /ZohoBooks\.settings\.CREATE/);
});

t.test('after a failure half-way the next run finds the webhook and adds its rule', async (t) => {
  const { standIn, register } = await start(t);
  standIn.api.refuses = (path) =>
    path === '/settings/workflows' ? { status: 503, text: '{"code":1,"message":"maintenance"}' } : undefined;
  t.same(states(await register('bill')), ['missing', 'missing']);
  standIn.api.refuses = () => undefined;
  t.same(states(await register('bill')), ['created', 'created']);
  t.equal(standIn.api.webhooks.length, 2);
});

t.test('a shared secret in a header is told where that is the proof', async (t) => {
  const token = 'canary-header-token-0123456789';
  const both = await start(t, { ZOHO_WEBHOOK_TOKEN: token, WEBHOOK_AUTH: 'both' });
  const [registration] = await both.register('bill');
  t.match(registration?.proof, /begins [0-9a-f]{8}, and header X-Zoho-Webhook-Token with the token/);
  t.match(both.standIn.api.webhooks[0], {
    secret: SECRET,
    headers: [{ param_name: 'X-Zoho-Webhook-Token', param_value: token }],
  });
});

t.test('what cannot be registered is said before anything is asked of Zoho', async (t) => {
  const { standIn, config } = await start(t, { ZOHO_WEBHOOK_SECRET: 'not only letters and digits' });
  const words = ['zoho', 'register-webhooks', '--dry-run'];
  t.match(await tds([...words, '--base', BASE], config()), { code: 2, err: /12 to 50 letters and digits/ });
  t.match(await tds(words, config()), { code: 2, err: /--base https:\/\/api\.example\.com/ });
  t.match(await tds([...words, '--base', BASE, '--modules', 'x'], config()), { code: 2, err: /x is not a module/ });
  t.equal(standIn.requests.length, 0);
});
