/** Every setting that a process may be told, declared once. */

import { BAND_NAMES } from '../monitor/alerts/bands.ts';
import { DATABASE_AWAY, RULES } from '../monitor/alerts/rules.ts';
import * as telemetry from './telemetry-values.ts';
import * as value from './values.ts';

export type Setting<T> = {
  env: string;
  parse: (text: string) => T;
  fallback: T;
  /** Shown as true or false, never as itself. */
  secret?: true;
  /** An empty value is a mistake rather than "not set": it would silently switch a protection off. */
  refuseEmpty?: true;
};

type Flags = Pick<Setting<unknown>, 'secret' | 'refuseEmpty'>;

function setting<T>(env: string, parse: (text: string) => T, fallback: NoInfer<T>, flags: Flags = {}): Setting<T> {
  return { env, parse, fallback, ...flags };
}

function optional<T>(env: string, parse: (text: string) => T, flags: Flags = {}): Setting<T | undefined> {
  return { env, parse, fallback: undefined, ...flags };
}

const SECRET: Flags = { secret: true, refuseEmpty: true };

/** Points where a process can be made to kill itself, for the fault tests. */
const CRASH_POINTS = ['after_claim', 'after_effect', 'before_commit', 'after_commit', 'before_ack'] as const;

/** Every setting: name in the environment, reader, default. `.env.example` explains each in a line (a test compares). */
export const SETTINGS = {
  nodeEnv: setting('NODE_ENV', value.oneOf('development', 'test', 'production'), 'development'),
  host: setting('HOST', value.text, '127.0.0.1'),
  port: setting('PORT', value.integer(0, 65_535), 8000),
  basePath: setting('BASE_PATH', value.basePath, ''),
  trustProxy: setting<string | false>('TRUST_PROXY', value.trustedProxies, false),
  logLevel: setting('LOG_LEVEL', value.oneOf('trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'), 'info'),

  databaseUrl: optional('DATABASE_URL', value.databaseUrl, SECRET),
  poolSize: setting('DATABASE_POOL_SIZE', value.integer(1, 1000), 10),
  maxOverflow: setting('DATABASE_MAX_OVERFLOW', value.integer(0, 1000), 10),
  dataDir: setting('TDS_DATA_DIR', value.text, '.tds'),

  webhookSecrets: setting('ZOHO_WEBHOOK_SECRET', value.secrets, [], SECRET),
  webhookSecretFile: optional('ZOHO_WEBHOOK_SECRET_FILE', value.text, { refuseEmpty: true }),
  webhookOldSecrets: setting('ZOHO_WEBHOOK_OLD_SECRET', value.secrets, [], SECRET),
  webhookToken: setting('ZOHO_WEBHOOK_TOKEN', value.headerSecrets, [], SECRET),
  webhookAuth: setting('WEBHOOK_AUTH', value.oneOf('either', 'both'), 'either'),
  defaultOrganization: setting('ZOHO_ORGANIZATION_ID', value.text, 'default'),
  bodyLimit: setting('WEBHOOK_BODY_LIMIT', value.integer(1024, 64 * 1024 * 1024), 1024 * 1024),
  webhookQuery: setting('WEBHOOK_QUERY', value.oneOf('refuse', 'allow'), 'refuse'),

  zohoDc: setting('ZOHO_DC', value.oneOf(...value.DATA_CENTRES), 'us'),
  zohoClientId: optional('ZOHO_CLIENT_ID', value.text, { refuseEmpty: true }),
  zohoClientSecret: optional('ZOHO_CLIENT_SECRET', value.text, SECRET),
  zohoRefreshToken: optional('ZOHO_REFRESH_TOKEN', value.text, SECRET),
  zohoOrganizationIdFile: optional('ZOHO_ORGANIZATION_ID_FILE', value.text, { refuseEmpty: true }),
  zohoDcFile: optional('ZOHO_DC_FILE', value.text, { refuseEmpty: true }),
  zohoClientIdFile: optional('ZOHO_CLIENT_ID_FILE', value.text, { refuseEmpty: true }),
  zohoClientSecretFile: optional('ZOHO_CLIENT_SECRET_FILE', value.text, { refuseEmpty: true }),
  zohoRefreshTokenFile: optional('ZOHO_REFRESH_TOKEN_FILE', value.text, { refuseEmpty: true }),
  zohoOrganizationsFile: optional('ZOHO_ORGANIZATIONS_FILE', value.text, { refuseEmpty: true }),
  zohoTokenKeyFile: optional('ZOHO_TOKEN_KEY_FILE', value.text, { refuseEmpty: true }),
  zohoAccountsUrl: optional('ZOHO_ACCOUNTS_URL', value.zohoUrl),
  zohoApiUrl: optional('ZOHO_API_URL', value.zohoUrl),
  zohoInventoryApiUrl: optional('ZOHO_INVENTORY_API_URL', value.zohoUrl),
  zohoCallsPerMinute: setting('ZOHO_CALLS_PER_MINUTE', value.integer(1, 1_000_000), 100),
  zohoCallsInFlight: setting('ZOHO_CALLS_IN_FLIGHT', value.integer(1, 1000), 5),
  zohoWebhooksPerDay: optional('ZOHO_WEBHOOKS_PER_DAY', value.integer(1, 10_000_000)),
  holeGraceSeconds: setting('HOLE_GRACE_SECONDS', value.seconds(0, 604_800), 3600),

  operators: setting('OPERATOR_TOKENS', value.operators, [], SECRET),
  operatorTokensFile: optional('OPERATOR_TOKENS_FILE', value.text, { refuseEmpty: true }),
  sessionHours: setting('SESSION_HOURS', value.integer(1, 720), 12),
  rateLimitPerMinute: setting('RATE_LIMIT_PER_MINUTE', value.integer(0, 1_000_000), 12_000),
  secretMaxAgeDays: setting('SECRET_MAX_AGE_DAYS', value.integer(1, 3650), 365),
  metricsToken: setting('METRICS_TOKEN', value.headerSecrets, [], SECRET),
  failureRateMinEvents: setting('FAILURE_RATE_MIN_EVENTS', value.integer(1, 1_000_000), 20),
  alertWebhookUrl: optional('ALERT_WEBHOOK_URL', value.outgoingUrl, { secret: true }),
  lifecycleWebhookUrl: optional('LIFECYCLE_WEBHOOK_URL', value.outgoingUrl, { secret: true }),
  heartbeatUrl: optional('HEARTBEAT_URL', value.outgoingUrl, { secret: true }),
  alertWebhookSecrets: setting('ALERT_WEBHOOK_SECRET', value.signingSecrets, [], SECRET),
  alertWebhookAllowPrivate: setting('ALERT_WEBHOOK_ALLOW_PRIVATE', value.flag, false),
  alertSmtpUrl: optional('ALERT_SMTP_URL', value.smtpUrl, SECRET),
  alertMailFrom: optional('ALERT_MAIL_FROM', value.mailAddresses),
  alertMailTo: optional('ALERT_MAIL_TO', value.mailAddresses),
  alertGroupSeconds: setting('ALERT_GROUP_SECONDS', value.seconds(0, 600), 5),
  alertThresholds: setting(
    'ALERT_THRESHOLDS',
    value.numbersByName([...RULES, DATABASE_AWAY].map((one) => one.rule)),
    {},
  ),
  keyMetricBands: setting('KEY_METRIC_BANDS', value.numbersByName(BAND_NAMES), {}),
  digestCron: optional('DIGEST_CRON', value.cronExpression),
  publicUrl: optional('TDS_PUBLIC_URL', value.publicUrl),
  runbookUrl: setting('RUNBOOK_URL', value.text, 'docs/runbook.md'),

  sentryDsn: optional('SENTRY_DSN', telemetry.sentryDsn, SECRET),
  otelEndpoint: optional('OTEL_EXPORTER_OTLP_ENDPOINT', telemetry.collectorUrl),
  otelHeaders: setting('OTEL_EXPORTER_OTLP_HEADERS', telemetry.headers, {}, SECRET),
  otelShare: setting('OTEL_TRACES_SAMPLER_ARG', telemetry.share, 1),

  workerConcurrency: setting('WORKER_CONCURRENCY', value.integer(1, 1000), 5),
  maxAttempts: setting('MAX_ATTEMPTS', value.integer(1, 100), 3),
  retryBaseSeconds: setting('RETRY_BASE_SECONDS', value.seconds(0, 86_400), 10),
  retryMaxSeconds: setting('RETRY_MAX_SECONDS', value.seconds(0, 604_800), 900),
  workflowConcurrency: setting('WORKFLOW_CONCURRENCY', value.integer(1, 100), 2),
  syncChangedCron: setting('SYNC_CHANGED_CRON', value.cron, '*/5 * * * *'),
  reconcileCron: setting('RECONCILE_CRON', value.cron, '30 2 * * *'),
  leaseSeconds: setting('LEASE_SECONDS', value.seconds(1, 3600), 30),
  watchdogSeconds: optional('WATCHDOG_SECONDS', value.seconds(0, 1800)),
  drainSeconds: setting('DRAIN_SECONDS', value.seconds(0, 3600), 25),
  retentionDays: setting('RETENTION_DAYS', value.integer(1, 3650), 30),
  auditRetentionDays: optional('AUDIT_RETENTION_DAYS', value.integer(30, 36_500)),
  historyDays: setting('HISTORY_DAYS', value.integer(0, 36_500), 90),
  metricsRetentionDays: setting('METRICS_RETENTION_DAYS', value.integer(14, 3650), 90),
  handlersDir: optional('HANDLERS_DIR', value.text),
  startPaused: setting('TDS_START_PAUSED', value.oneOf('0', '1'), '0'),
  queueDriver: setting('QUEUE_DRIVER', value.oneOf('postgres', 'bullmq'), 'postgres'),
  redisUrl: optional('REDIS_URL', value.redisUrl, { secret: true }),
  tdsUrl: optional('TDS_URL', value.text),
  tdsToken: optional('TDS_TOKEN', value.text, SECRET),
  crashAt: optional('TDS_CRASH_AT', value.oneOf(...CRASH_POINTS)),
};

export type Settings = { [K in keyof typeof SETTINGS]: (typeof SETTINGS)[K]['fallback'] };
export type SettingName = keyof Settings;

/** Settings whose value may stand in a file (systemd credentials) instead of the environment, and that file's setting. */
export const FROM_FILES = {
  webhookSecrets: 'webhookSecretFile',
  operators: 'operatorTokensFile',
  defaultOrganization: 'zohoOrganizationIdFile',
  zohoDc: 'zohoDcFile',
  zohoClientId: 'zohoClientIdFile',
  zohoClientSecret: 'zohoClientSecretFile',
  zohoRefreshToken: 'zohoRefreshTokenFile',
} as const satisfies Partial<Record<SettingName, SettingName>>;

export type FromFile = keyof typeof FROM_FILES;
