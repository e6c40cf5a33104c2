/** The command line as a user has it: a process, its output, its exit code. */
import { spawn } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { readAutomation } from '../../src/zoho/command/check.ts';
import { missingScopes } from '../../src/zoho/command/connect.ts';
import { ALL_SCOPES } from '../../src/zoho/modules/pull-modules.ts';
import { type TestDatabase, testDatabase } from '../helper.ts';
import { clientOf } from './calling.ts';
import { StandIn } from './stand-in.ts';

const MAIN = path.join(import.meta.dirname, '../../src/zoho/command/main.ts');

type Ending = { code: number | null; out: string; err: string };

function zoho(args: string[], env: Record<string, string>, input = ''): Promise<Ending> {
  const clean = Object.entries(process.env).filter(([name]) => !/^(ZOHO|TDS|DATABASE)_/.test(name));
  const child = spawn(process.execPath, [MAIN, ...args], { env: { ...Object.fromEntries(clean), ...env } });
  const ending: Ending = { code: null, out: '', err: '' };
  child.stdout.setEncoding('utf8').on('data', (text) => {
    ending.out += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    ending.err += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ ...ending, code })));
}

let database: TestDatabase;
t.before(async () => {
  database = await testDatabase(t);
});

/** A stand-in, and the environment of somebody who has a client but no refresh token yet. */
async function beginner(t: Test) {
  const standIn = await StandIn.start(t);
  const { ZOHO_REFRESH_TOKEN: _, ZOHO_ORGANIZATION_ID: __, ...env } = standIn.environment;
  return { standIn, env };
}

t.test('--help explains itself with examples, and wrong usage says what is right', async (t) => {
  t.match(await zoho(['--help'], {}), { code: 0, out: /Examples:\n.*npm run zoho -- connect/, err: '' });
  t.match(await zoho([], {}), { code: 64, out: /Usage/ });
  t.match(await zoho(['conect'], {}), { code: 64, err: /conect is not a command: there are connect and check/ });
  t.match(await zoho(['check', '--modul', 'x'], {}), { code: 64, err: /--help says more/ });
  t.match(await zoho(['check'], { DATABASE_URL: database.url }), { code: 64, err: /no such organization with access/ });
  t.match(await zoho(['connect'], {}), { code: 64, out: /api-console\.zoho\.com[\s\S]*ZohoBooks\.invoices\.READ/ });
  t.match(await zoho(['check'], { ZOHO_DC: 'mars' }), { code: 78, err: /ZOHO_DC must be one of us, eu/ });
});

t.test('connect turns a grant code into settings and lists the organizations', async (t) => {
  const { standIn, env } = await beginner(t);
  const { code, out } = await zoho(['connect', '--code', 'grant-code', '--dc', 'eu'], env);
  t.equal(code, 0);
  t.strictSame(out.trim().split('\n'), [
    'ZOHO_DC=eu',
    `ZOHO_REFRESH_TOKEN=${standIn.accounts.refreshToken}`,
    'ZOHO_ORGANIZATION_ID=10234695    # Zillium Inc, America/New_York',
  ]);
});

t.test('connect reads the code from standard input and keeps the token in a file for its owner', async (t) => {
  const { standIn, env } = await beginner(t);
  standIn.accounts.refreshToken = '1000.canary';
  const file = path.join(t.testdir(), 'refresh-token');
  const { code, out } = await zoho(['connect', '--token-file', file], env, 'grant-code\n');
  t.equal(code, 0);
  t.notMatch(out, standIn.accounts.refreshToken);
  t.match(out, `ZOHO_REFRESH_TOKEN_FILE=${file}`);
  t.equal(readFileSync(file, 'utf8').trim(), standIn.accounts.refreshToken);
  t.equal(statSync(file).mode & 0o777, 0o600);
});

t.test('connect says which scopes lack', async (t) => {
  const { standIn, env } = await beginner(t);
  standIn.accounts.scope = `${ALL_SCOPES.filter((scope) => !/banking|bills/.test(scope)).join(' ')} ZohoBooks.bills.ALL`;
  t.match(await zoho(['connect', '--code', 'grant-code'], env), {
    code: 1,
    out: /Scopes that lack: ZohoBooks\.banking\.READ\n/,
  });
  t.strictSame(missingScopes(['ZohoBooks.fullaccess.all']), ['ZohoInventory.inventoryadjustments.READ']);
  t.strictSame(missingScopes(ALL_SCOPES), []);
});

t.test('connect explains a code that was used before, and quotes no secret', async (t) => {
  const { standIn, env } = await beginner(t);
  const { code, out, err } = await zoho(['connect', '--code', 'used-code', '--dc', 'in'], env);
  t.equal(code, 1);
  t.match(err, /No data centre takes the code.*\n.*in \(http.*invalid_code/);
  t.notMatch(out + err, standIn.accounts.clientSecret);
});

/** Rules and webhooks that announce all of invoices. */
function announceInvoices({ api, organizationId }: StandIn): void {
  const url = (action: string) => `https://api.example.com/webhooks/zoho-books/${organizationId}/invoice/${action}`;
  const action = (id: string) => [{ action_type: 'webhook', action_id: id }];
  api.webhooks = [
    { webhook_id: '1', webhook_name: 'changes', entity: 'invoice', method: 'POST', url: url('updated') },
    { webhook_id: '2', webhook_name: 'deletions', entity: 'invoice', method: 'POST', url: url('deleted') },
  ];
  const rule = (id: string, rule_type: string) => ({
    ...{ workflow_id: `rule-${id}`, workflow_name: rule_type, entity: 'invoice', rule_type, is_active: true },
    ...{ apply_rule_always: true, instant_actions: action(id) },
  });
  api.workflows = [rule('1', 'add_edit'), rule('2', 'delete')];
}

t.test('check prints per module what is missing', async (t) => {
  const standIn = await StandIn.start(t);
  announceInvoices(standIn);
  standIn.api.retryPolicies = [{ retry_policy_id: '1' }];
  const env = { ...standIn.environment, DATABASE_URL: database.url, TDS_DATA_DIR: t.testdir() };
  const complete = await zoho(['check', '--modules', 'invoice', '--url', 'https://api.example.com/'], env);
  t.match(complete, {
    code: 0,
    out: /2 workflow rules, 2 webhooks\n {2}invoice +ok\n {2}retry policy +ok\n {2}calls left/,
    err: '',
  });
  const lacking = await zoho(['check', '--modules', 'invoice,bill', '--url', 'https://api.example.com'], env);
  t.match(lacking, { code: 1, out: /invoice +ok\n {2}bill +No active rule announces new ones/ });
});

t.test('check tries a refused credential once more, and says why it cannot', async (t) => {
  const standIn = await StandIn.start(t);
  standIn.accounts.refreshToken = 'another-refresh-token';
  const env = { ...standIn.environment, DATABASE_URL: database.url, TDS_DATA_DIR: t.testdir() };
  standIn.accounts.revoked = true;
  for (let n = 0; n < 2; n++) t.match(await zoho(['check'], env), { code: 1, err: /invalid_code/ });
  t.equal(standIn.accounts.calls, 2);
});

t.test('policies that cannot be read are no reason to read nothing', async (t) => {
  const standIn = await StandIn.start(t, { organizationId: '77' });
  announceInvoices(standIn);
  standIn.api.allows = (asked) => asked !== '/settings/retrypolicies';
  const { rules, webhooks, retryPolicies } = await readAutomation(clientOf(standIn, database.db), 0);
  t.match(rules, [{ type: 'add_edit', webhookIds: ['1'], active: true, always: true }, { webhookIds: ['2'] }]);
  t.equal(webhooks.length, 2);
  t.equal(retryPolicies, null);
});
