import { readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { ConfigError, loadConfig } from '../../src/config.ts';
import { accountsUrl, apiBase, usableApiDomain } from '../../src/zoho/organizations/addresses.ts';
import { organizationsOf } from '../../src/zoho/organizations/organizations.ts';
import { decryptToken, encryptToken, tokenKey } from '../../src/zoho/tokens/token-key.ts';

const SECRET = 'a-secret-of-24-characters';
const ACCESS = { ZOHO_CLIENT_ID: 'client', ZOHO_CLIENT_SECRET: 'canary-secret', ZOHO_REFRESH_TOKEN: 'canary-token' };

function problemsOf(read: () => unknown): string[] {
  try {
    read();
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

t.test('each data centre has its own servers, which follow no rule', async (t) => {
  t.equal(accountsUrl({ dc: 'ca' }), 'https://accounts.zohocloud.ca');
  t.equal(accountsUrl({ dc: 'au' }), 'https://accounts.zoho.com.au');
  t.equal(apiBase('books', { dc: 'cn' }, null), 'https://www.zohoapis.com.cn/books/v3');
  t.equal(apiBase('inventory', { dc: 'eu' }, null), 'https://www.zohoapis.eu/inventory/v1');
});

t.test("the token's own domain wins over the data centre, and a setting wins over both", async (t) => {
  t.equal(apiBase('books', { dc: 'us' }, 'https://www.zohoapis.in'), 'https://www.zohoapis.in/books/v3');
  const addresses = { dc: 'us', apiUrl: 'http://127.0.0.1:9/books/v3', inventoryApiUrl: undefined } as const;
  t.equal(apiBase('books', addresses, 'https://www.zohoapis.in'), 'http://127.0.0.1:9/books/v3');
  t.equal(apiBase('inventory', addresses, 'https://www.zohoapis.in'), 'https://www.zohoapis.in/inventory/v1');
});

t.test('no token travels to a domain in clear', async (t) => {
  t.equal(usableApiDomain('https://www.zohoapis.eu'), 'https://www.zohoapis.eu');
  t.equal(usableApiDomain('http://127.0.0.1:1234'), 'http://127.0.0.1:1234');
  for (const domain of ['http://www.zohoapis.eu', 'www.zohoapis.eu', '', null, 'ftp://x', 'https://u:p@x'])
    t.equal(usableApiDomain(domain), null, String(domain));
  t.match(
    problemsOf(() => loadConfig({ ZOHO_API_URL: 'http://books.example.com/books/v3' })),
    [/ZOHO_API_URL must be a URL/],
  );
  t.equal(loadConfig({ ZOHO_API_URL: 'http://localhost:1/books/v3/' }).zohoApiUrl, 'http://localhost:1/books/v3');
});

t.test('plain settings make one organization', async (t) => {
  const organizations = organizationsOf(loadConfig({ ...ACCESS, ZOHO_ORGANIZATION_ID: '10234695', ZOHO_DC: 'EU' }));
  t.match(organizations.list, [{ id: '10234695', access: { clientId: 'client', addresses: { dc: 'eu' } } }]);
  t.equal(organizations.defaultId, '10234695');
  t.match(organizationsOf(loadConfig({})).list, [{ id: 'default', access: null }]);
});

t.test('settings that belong together are asked for together', async (t) => {
  const { ZOHO_REFRESH_TOKEN: _, ...half } = ACCESS;
  t.match(
    problemsOf(() => organizationsOf(loadConfig({ ...half, ZOHO_ORGANIZATION_ID: '1' }))),
    [/ZOHO_REFRESH_TOKEN is/],
  );
  t.match(
    problemsOf(() => organizationsOf(loadConfig(ACCESS))),
    [/ZOHO_ORGANIZATION_ID is not set/],
  );
});

t.test('every setting of an organization may stand in a file', async (t) => {
  const dir = t.testdir({ id: '10234695\n', dc: 'in', client: 'client', secret: 'canary-secret\n', token: 'canary' });
  const config = loadConfig({
    ZOHO_ORGANIZATION_ID_FILE: path.join(dir, 'id'),
    ZOHO_DC_FILE: path.join(dir, 'dc'),
    ZOHO_CLIENT_ID_FILE: path.join(dir, 'client'),
    ZOHO_CLIENT_SECRET_FILE: path.join(dir, 'secret'),
    ZOHO_REFRESH_TOKEN_FILE: path.join(dir, 'token'),
  });
  const [organization] = organizationsOf(config).list;
  t.match(organization, { id: '10234695', access: { clientSecret: 'canary-secret', refreshToken: 'canary' } });
  t.equal(organization?.access?.addresses.dc, 'in');
  t.match(
    problemsOf(() => loadConfig({ ZOHO_DC: 'eu', ZOHO_DC_FILE: path.join(dir, 'dc') })),
    [/ZOHO_DC and ZOHO_DC_FILE are both set/],
  );
});

t.test('a file names several organizations, each with its own secrets', async (t) => {
  const dir = t.testdir({ token: 'token-of-two' });
  const file = path.join(dir, 'organizations.json');
  const access = { client_id: 'c', client_secret: 's', refresh_token: 'token-of-one' };
  const two = { client_id: 'c', client_secret: 's', refresh_token_file: path.join(dir, 'token') };
  writeFileSync(
    file,
    JSON.stringify({
      organizations: [
        { organization_id: '1', ...access, webhook_secret: `${SECRET},the-previous-secret`, calls_per_minute: 50 },
        { organization_id: '2', ...two, dc: 'jp' },
      ],
    }),
  );
  const organizations = organizationsOf(
    loadConfig({ ZOHO_ORGANIZATIONS_FILE: file, ZOHO_WEBHOOK_SECRET: 'shared-secret-1' }),
  );
  t.match(organizations.list, [
    { id: '1', access: { callsPerMinute: 50, callsInFlight: 5, addresses: { dc: 'us' } } },
    { id: '2', access: { refreshToken: 'token-of-two', addresses: { dc: 'jp' } } },
  ]);
  t.strictSame(organizations.secretsFor('1'), [SECRET, 'the-previous-secret'], 'its own');
  t.strictSame(organizations.secretsFor('2'), ['shared-secret-1'], 'the shared one');
  t.strictSame(organizations.secretsFor('unknown'), ['shared-secret-1']);
});

t.test('every problem of the file is named, and no secret', async (t) => {
  const file = path.join(t.testdir(), 'organizations.json');
  const entries = [
    { organization_id: 1, client_id: 'c', client_secret: 'canary', refresh_token: 'canary' },
    { organization_id: '2', client_id: 'c' },
    { organization_id: '2', webhook_secret: 'canary', colour: 'blue' },
  ];
  writeFileSync(file, JSON.stringify(entries));
  const problems = problemsOf(() => organizationsOf(loadConfig({ ZOHO_ORGANIZATIONS_FILE: file })));
  t.match(problems, [
    /organization 1: organization_id must be a string/,
    /organization 2: client_id, client_secret and refresh_token belong together/,
    /organization 2: colour is not a field/,
    /organization 2: webhook_secret must have at least 12 characters/,
    /names organization 2 twice/,
  ]);
  t.notMatch(problems.join(' '), /canary/);
  writeFileSync(file, '{"canary": ');
  t.strictSame(
    problemsOf(() => organizationsOf(loadConfig({ ZOHO_ORGANIZATIONS_FILE: file }))),
    ['ZOHO_ORGANIZATIONS_FILE is not valid JSON.'],
  );
});

t.test('where strangers can call, or others have a secret, every organization needs one', async (t) => {
  const file = path.join(t.testdir(), 'organizations.json');
  const write = (...secrets: (string | undefined)[]) =>
    writeFileSync(
      file,
      JSON.stringify(secrets.map((webhook_secret, n) => ({ organization_id: `${n}`, webhook_secret }))),
    );
  const config = loadConfig({ ZOHO_ORGANIZATIONS_FILE: file });
  write(undefined, undefined);
  t.strictSame(
    problemsOf(() => organizationsOf(config)),
    [],
  );
  for (const open of [{ nodeEnv: 'production' }, { host: '0.0.0.0' }] as const)
    t.equal(problemsOf(() => organizationsOf({ ...config, ...open })).length, 2);
  write(undefined, SECRET);
  t.match(
    problemsOf(() => organizationsOf(config)),
    [/Organization 0 has no webhook_secret/],
  );
  t.strictSame(
    problemsOf(() => organizationsOf({ ...config, webhookSecrets: [SECRET] })),
    [],
  );
});

t.test('nobody can sign for an organization that has no secret while others have one', async (t) => {
  const file = path.join(t.testdir(), 'organizations.json');
  writeFileSync(file, JSON.stringify([{ organization_id: '1', webhook_secret: SECRET }]));
  const organizations = organizationsOf(loadConfig({ ZOHO_ORGANIZATIONS_FILE: file }));
  const [secret = '', ...more] = organizations.secretsFor('unknown');
  t.ok(secret.length >= 64 && secret !== SECRET && more.length === 0);
  t.not(organizationsOf(loadConfig({ ZOHO_ORGANIZATIONS_FILE: file })).secretsFor('unknown')[0], secret);
  t.strictSame(organizationsOf(loadConfig({})).secretsFor('unknown'), [], 'nothing is demanded');
});

t.test('a key is made once, for its owner only, and decrypts what it encrypted for the same row', async (t) => {
  const dataDir = path.join(t.testdir(), 'data');
  const key = tokenKey({ dataDir });
  t.strictSame(tokenKey({ dataDir }), key);
  t.equal(statSync(path.join(dataDir, 'zoho-token.key')).mode & 0o777, 0o600);
  const stored = encryptToken(key, 'row', '1000.canary');
  t.notMatch(stored.toString('latin1'), /canary/);
  t.equal(decryptToken(key, 'row', stored), '1000.canary');
  t.equal(decryptToken(key, 'another row', stored), null);
  const elsewhere = tokenKey({ dataDir: path.join(t.testdir({ b: {} }), 'b') });
  t.equal(decryptToken(elsewhere, 'row', stored), null);
});

t.test('a key file holds 32 bytes in base64 or hex', async (t) => {
  const dir = t.testdir({ short: 'c2hvcnQ=', hex: 'ab'.repeat(32) });
  const read = (name: string) => tokenKey({ dataDir: dir, zohoTokenKeyFile: path.join(dir, name) });
  t.equal(read('hex').length, 32);
  t.match(
    problemsOf(() => read('short')),
    [/must hold 32 bytes/],
  );
  t.match(
    problemsOf(() => read('gone')),
    [/cannot be read \(ENOENT\)/],
  );
  t.equal(readFileSync(path.join(dir, 'short'), 'utf8'), 'c2hvcnQ=');
});
