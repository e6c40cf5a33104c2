import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import t from 'tap';
import { ConfigError, describeConfig, loadConfig, SETTINGS } from '../src/config.ts';

const SECRET = 'a-secret-of-24-characters';
const TOKENS = 'ann:operator:ann-token-123,bob:viewer:bob-token-123';
const PRODUCTION = { NODE_ENV: 'production', ZOHO_WEBHOOK_SECRET: SECRET, OPERATOR_TOKENS: TOKENS };

function problemsOf(env: NodeJS.ProcessEnv): string[] {
  try {
    loadConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
}

t.test('an empty environment gives the documented defaults', async (t) => {
  t.match(loadConfig({}), {
    host: '127.0.0.1',
    port: 8000,
    basePath: '',
    poolSize: 10,
    maxOverflow: 10,
    workerConcurrency: 5,
    maxAttempts: 3,
    retryBaseSeconds: 10,
    retryMaxSeconds: 900,
    leaseSeconds: 30,
    retentionDays: 30,
    historyDays: 90,
    metricsRetentionDays: 90,
    dataDir: '.tds',
    queueDriver: 'postgres',
    webhookSecrets: [],
  });
});

t.test('every problem is reported at once, each with its name and what to do', async (t) => {
  const problems = problemsOf({ PORT: 'eighty', LEASE_SECONDS: '-1', QUEUE_DRIVER: 'kafka', BASE_PATH: 'tds' });
  t.strictSame(problems, [
    'PORT must be a whole number from 0 to 65535.',
    'BASE_PATH must look like /tds.',
    'LEASE_SECONDS must be a number of seconds from 1 to 3600.',
    'QUEUE_DRIVER must be one of postgres, bullmq.',
  ]);
});

t.test('a secret that is empty or short refuses to start instead of switching the check off', async (t) => {
  for (const ZOHO_WEBHOOK_SECRET of ['', '   ', 'short', `${SECRET},`, `${SECRET},short`])
    t.equal(problemsOf({ ZOHO_WEBHOOK_SECRET }).length, 1, JSON.stringify(ZOHO_WEBHOOK_SECRET));
  t.equal(problemsOf({ OPERATOR_TOKENS: '' }).length, 1);
  t.equal(problemsOf({ ZOHO_WEBHOOK_TOKEN: 'x' }).length, 1);
});

t.test('two secrets are both live, the newest first', async (t) => {
  const { webhookSecrets } = loadConfig({ ZOHO_WEBHOOK_SECRET: `${SECRET}, previous-secret` });
  t.strictSame(webhookSecrets, [SECRET, 'previous-secret']);
});

t.test('secrets may stand in files, but not in both places', async (t) => {
  const file = path.join(t.testdir(), 'secret');
  writeFileSync(file, `${SECRET}\n`);
  t.strictSame(loadConfig({ ZOHO_WEBHOOK_SECRET_FILE: file }).webhookSecrets, [SECRET]);
  t.match(problemsOf({ ZOHO_WEBHOOK_SECRET_FILE: file, ZOHO_WEBHOOK_SECRET: SECRET }), [/both set: remove one/]);
  t.match(problemsOf({ ZOHO_WEBHOOK_SECRET_FILE: `${file}.gone` }), [/cannot be read \(ENOENT\)/]);
  writeFileSync(file, '# who may do what\nann:operator:ann-token-123\nbob:viewer:bob:token:123\n');
  t.strictSame(
    loadConfig({ OPERATOR_TOKENS_FILE: file }).operators.map(({ name, role }) => `${name} ${role}`),
    ['ann operator', 'bob viewer'],
  );
});

t.test('production refuses open doors', async (t) => {
  t.match(problemsOf({ NODE_ENV: 'production' }), [/ZOHO_WEBHOOK_SECRET or/, /OPERATOR_TOKENS/]);
  t.match(problemsOf({ ...PRODUCTION, TDS_CRASH_AT: 'after_claim' }), [/TDS_CRASH_AT is for tests/]);
  t.strictSame(problemsOf(PRODUCTION), []);
});

t.test('an open address needs operators and signed webhooks', async (t) => {
  t.equal(problemsOf({ HOST: '0.0.0.0' }).length, 2);
  t.strictSame(problemsOf({ HOST: '0.0.0.0', OPERATOR_TOKENS: TOKENS, ZOHO_WEBHOOK_SECRET: SECRET }), []);
  for (const HOST of ['localhost', '127.0.0.2', '::1']) t.strictSame(problemsOf({ HOST }), []);
});

t.test('contradictions refuse to start', async (t) => {
  t.match(problemsOf({ QUEUE_DRIVER: 'bullmq' }), [/needs REDIS_URL/]);
  t.match(problemsOf({ WEBHOOK_AUTH: 'both', ZOHO_WEBHOOK_SECRET: SECRET }), [/WEBHOOK_AUTH=both needs/]);
  t.match(problemsOf({ RETRY_BASE_SECONDS: '60', RETRY_MAX_SECONDS: '30' }), [/RETRY_MAX_SECONDS is less/]);
  t.match(problemsOf({ WATCHDOG_SECONDS: '20' }), [/WATCHDOG_SECONDS is more than half/]);
  t.match(problemsOf({ WATCHDOG_SECONDS: '0.5' }), [/WATCHDOG_SECONDS below 1/]);
  t.strictSame(problemsOf({ WATCHDOG_SECONDS: '0' }), []);
});

t.test('what systemd says in the environment is not taken for misspelt settings', async (t) => {
  const said = {
    NOTIFY_SOCKET: '/run/systemd/notify',
    WATCHDOG_USEC: '60000000',
    WATCHDOG_PID: '1',
    INVOCATION_ID: 'a',
  };
  t.strictSame(problemsOf({ ...said, JOURNAL_STREAM: '8:1', STATE_DIRECTORY: '/var/lib/tds-core' }), []);
});

t.test('a misspelt name is refused with the right one, and other programs are left alone', async (t) => {
  t.match(problemsOf({ ZOHO_WEBHOOK_SECRETS: SECRET }), [/did you mean ZOHO_WEBHOOK_SECRET\?/]);
  t.match(problemsOf({ WORKER_CONCURENCY: '9' }), [/did you mean WORKER_CONCURRENCY\?/]);
  t.match(problemsOf({ TDS_TURBO: 'yes' }), [/TDS_TURBO is not a setting/]);
  t.strictSame(
    problemsOf({ HOME: '/root', PATH: '/bin', NODE_OPTIONS: '', PGHOST: 'x', HOSTNAME: 'vm', TERM: '' }),
    [],
  );
});

t.test('a token that no header can carry refuses to start', async (t) => {
  for (const token of ['twelve letters', 'zwölf-buchstaben', 'tab\there-12345']) {
    t.match(problemsOf({ OPERATOR_TOKENS: `ann:operator:${token}` }), [/OPERATOR_TOKENS must have tokens of ASCII/]);
    t.match(problemsOf({ ZOHO_WEBHOOK_TOKEN: token }), [/ZOHO_WEBHOOK_TOKEN must consist of ASCII/]);
  }
});

t.test('alerts go to https on the public network only', async (t) => {
  t.strictSame(problemsOf({ ALERT_WEBHOOK_URL: 'https://hooks.example.com/T1' }), []);
  const refused = ['http://hooks.example.com', 'https://u:p@example.com', 'nonsense'];
  // The table of bad inputs has all the spellings.
  for (const host of ['127.0.0.1', '10.1.2.3']) refused.push(`https://${host}/`);
  for (const ALERT_WEBHOOK_URL of refused) t.equal(problemsOf({ ALERT_WEBHOOK_URL }).length, 1, ALERT_WEBHOOK_URL);
});

t.test('a private address for notifications has to be allowed, and may be http then', async (t) => {
  const ALERT_WEBHOOK_ALLOW_PRIVATE = '1';
  for (const env of ['ALERT_WEBHOOK_URL', 'LIFECYCLE_WEBHOOK_URL', 'HEARTBEAT_URL']) {
    const url = { [env]: 'http://127.0.0.1:9000/hook' };
    t.match(problemsOf(url), [new RegExp(`^${env} points to this machine.*ALERT_WEBHOOK_ALLOW_PRIVATE=1`)]);
    t.strictSame(problemsOf({ ...url, ALERT_WEBHOOK_ALLOW_PRIVATE }), []);
    const outside = { [env]: 'http://hooks.example.com/', ALERT_WEBHOOK_ALLOW_PRIVATE };
    t.match(problemsOf(outside), [/https:/], 'outside it stays https');
  }
});

t.test('settings of notifications that cannot be used say what to write', async (t) => {
  const cases: [NodeJS.ProcessEnv, RegExp][] = [
    [{ ALERT_THRESHOLDS: 'queue_backlog=5' }, /names of queue_backlog_critical/],
    [{ ALERT_THRESHOLDS: 'no_worker=-1' }, /give no_worker a number/],
    [{ KEY_METRIC_BANDS: 'pending=5' }, /pending_warning/],
    [{ ALERT_SMTP_URL: 'mail.example.com' }, /must look like smtps:/],
    [{ SENTRY_DSN: 'https://sentry.example.com/1' }, /must look like https:\/\/key@/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '127.0.0.1:4318' }, /must be a URL such as http:/],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://user:password@127.0.0.1:4318' }, /no user name/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'authorization: Bearer x' }, /must be a list of name=value/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'authorization=%' }, /must be a list of name=value/],
    [{ OTEL_EXPORTER_OTLP_HEADERS: 'authorization=a%0d%0ab' }, /must be a list of name=value/],
    [{ OTEL_TRACES_SAMPLER_ARG: '10' }, /must be a number from 0 to 1/],
    [{ ALERT_SMTP_URL: 'smtp://mail.example.com' }, /ALERT_MAIL_FROM and ALERT_MAIL_TO/],
    [{ ALERT_MAIL_TO: 'nobody' }, /e-mail address/],
    [{ DIGEST_CRON: 'daily' }, /must look like 0 6/],
    [{ DIGEST_CRON: '0 6 * * *' }, /DIGEST_CRON needs ALERT_WEBHOOK_URL/],
    [{ ALERT_WEBHOOK_SECRET: 'whsec_short-but-long' }, /base64 of 24 bytes/],
    [{ ALERT_WEBHOOK_ALLOW_PRIVATE: 'yes' }, /must be 0 or 1/],
  ];
  for (const [env, message] of cases) t.match(problemsOf(env), [message], JSON.stringify(env));
  const { alertThresholds, alertWebhookSecrets } = loadConfig({
    ALERT_THRESHOLDS: 'no_worker=60, failure_rate_warning=2.5',
    ALERT_WEBHOOK_SECRET: `whsec_${Buffer.alloc(24, 7).toString('base64')},a plain secret`,
  });
  t.same(alertThresholds, { no_worker: 60, failure_rate_warning: 2.5 });
  t.same(alertWebhookSecrets, [Buffer.alloc(24, 7), Buffer.from('a plain secret')]);
});

t.test('neither a description nor an error shows a secret', async (t) => {
  const described = describeConfig(loadConfig({ ...PRODUCTION, DATABASE_URL: 'postgresql://u:canary-1@h/d' }));
  t.match(described, { webhookSecrets: true, operators: true, databaseUrl: true, redisUrl: false, port: 8000 });
  t.notMatch(JSON.stringify(described), /canary|a-secret|ann-token/);
  const problems = problemsOf({
    DATABASE_URL: 'mysql://u:canary-1@h',
    ZOHO_WEBHOOK_SECRET: 'canary-2',
    OPERATOR_TOKENS: 'canary-3',
  });
  t.equal(problems.length, 3);
  t.notMatch(problems.join(), /canary/);
});

t.test('.env.example explains every setting with its default', async (t) => {
  const lines = readFileSync(path.join(import.meta.dirname, '../.env.example'), 'utf8').split('\n');
  const shown = new Map<string, { value: string; above: string }>();
  lines.forEach((line, index) => {
    const [, name, value] = /^#?([A-Z_]+)=(.*)$/.exec(line) ?? [];
    if (name) shown.set(name, { value: value ?? '', above: lines[index - 1] ?? '' });
  });
  t.strictSame(
    [...shown.keys()].sort(),
    Object.values(SETTINGS)
      .map(({ env }) => env)
      .sort(),
  );
  for (const { env, fallback } of Object.values(SETTINGS)) {
    t.match(shown.get(env)?.above, /^# \w/, `${env} is explained in the line above it`);
    if (typeof fallback === 'number' || typeof fallback === 'string')
      t.equal(shown.get(env)?.value, String(fallback), env);
  }
});

t.test("a collector's headers are read as OpenTelemetry writes them, and never shown", async (t) => {
  const config = loadConfig({ OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20x%2Cy, x-team=books' });
  t.same(config.otelHeaders, { authorization: 'Bearer x,y', 'x-team': 'books' });
  t.notMatch(JSON.stringify(describeConfig(config)), 'Bearer');
});

t.test('other settings of OpenTelemetry may stand in the environment', async (t) => {
  const OTHERS = ['OTEL_SERVICE_NAME', 'OTEL_TRACES_SAMPLER', 'OTEL_RESOURCE_ATTRIBUTES', 'OTEL_EXPORTER_OTLP_TIMEOUT'];
  for (const name of OTHERS) t.same(problemsOf({ [name]: 'x' }), [], name);
});
