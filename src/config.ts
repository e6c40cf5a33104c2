/** The only reader of the environment. Everything a process may be told is declared once, in SETTINGS. */
import { readFileSync } from 'node:fs';
import { unknownNames } from './config-names.ts';
import * as value from './config-values.ts';
import { type Command, readArguments } from './usage.ts';

export type { Operator, Role } from './config-values.ts';

type Setting<T> = {
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

/**
 * Exit code of a process that cannot use its settings: EX_CONFIG of sysexits.h. Starting it again would not help, so
 * neither systemd (RestartPreventExitStatus) nor `npm start` does.
 */
export const EXIT_CONFIG = 78;

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
  holeGraceSeconds: setting('HOLE_GRACE_SECONDS', value.seconds(0, 604_800), 3600),

  operators: setting('OPERATOR_TOKENS', value.operators, [], SECRET),
  operatorTokensFile: optional('OPERATOR_TOKENS_FILE', value.text, { refuseEmpty: true }),
  failureRateMinEvents: setting('FAILURE_RATE_MIN_EVENTS', value.integer(1, 1_000_000), 20),
  alertWebhookUrl: optional('ALERT_WEBHOOK_URL', value.alertWebhookUrl, { secret: true }),

  workerConcurrency: setting('WORKER_CONCURRENCY', value.integer(1, 1000), 5),
  maxAttempts: setting('MAX_ATTEMPTS', value.integer(1, 100), 3),
  retryBaseSeconds: setting('RETRY_BASE_SECONDS', value.seconds(0, 86_400), 10),
  retryMaxSeconds: setting('RETRY_MAX_SECONDS', value.seconds(0, 604_800), 900),
  leaseSeconds: setting('LEASE_SECONDS', value.seconds(1, 3600), 30),
  watchdogSeconds: optional('WATCHDOG_SECONDS', value.seconds(0, 1800)),
  drainSeconds: setting('DRAIN_SECONDS', value.seconds(0, 3600), 25),
  retentionDays: setting('RETENTION_DAYS', value.integer(1, 3650), 30),
  handlersDir: optional('HANDLERS_DIR', value.text),
  queueDriver: setting('QUEUE_DRIVER', value.oneOf('postgres', 'bullmq'), 'postgres'),
  redisUrl: optional('REDIS_URL', value.redisUrl, { secret: true }),
  crashAt: optional('TDS_CRASH_AT', value.oneOf(...CRASH_POINTS)),
};

type Settings = { [K in keyof typeof SETTINGS]: (typeof SETTINGS)[K]['fallback'] };
type SettingName = keyof Settings;

/** Settings whose value may stand in a file (systemd credentials) instead of the environment, and that file's setting. */
const FROM_FILES = {
  webhookSecrets: 'webhookSecretFile',
  operators: 'operatorTokensFile',
  defaultOrganization: 'zohoOrganizationIdFile',
  zohoDc: 'zohoDcFile',
  zohoClientId: 'zohoClientIdFile',
  zohoClientSecret: 'zohoClientSecretFile',
  zohoRefreshToken: 'zohoRefreshTokenFile',
} as const satisfies Partial<Record<SettingName, SettingName>>;

type FromFile = keyof typeof FROM_FILES;

/** What the processes are told. Files have been read: their contents stand in the plain fields. */
export type Config = Omit<Settings, (typeof FROM_FILES)[FromFile]>;

/** Everything that is wrong with the environment, a line each. */
export class ConfigError extends Error {
  readonly problems: string[];

  constructor(problems: string[]) {
    super(`The configuration cannot be used:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
    this.problems = problems;
  }
}

/** Reads and checks an environment. Throws one ConfigError that lists every problem and what to do about each. */
export function loadConfig(env: NodeJS.ProcessEnv): Config {
  const problems = unknownNames(
    env,
    Object.values(SETTINGS).map((one) => one.env),
  );
  const settings = readSettings(env, problems);
  for (const target of Object.keys(FROM_FILES) as FromFile[]) readFile(settings, target, problems);
  // Contradictions are judged only between values that could be read, or one mistake would be reported twice.
  if (problems.length === 0) problems.push(...contradictions(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  for (const source of Object.values(FROM_FILES)) delete (settings as Partial<Settings>)[source];
  return settings;
}

/**
 * The configuration of the process that runs this command; ends it with the list of problems when it cannot be used,
 * and with the help when that was asked for.
 */
export function processConfig(command: Command): Config {
  readArguments(command, process.argv.slice(2));
  return environmentConfig();
}

/** The same for a command that has arguments of its own. */
export function environmentConfig(): Config {
  return orExit(() => loadConfig(process.env));
}

/** What `read` returns; a ConfigError that it throws is printed and ends the process with EXIT_CONFIG. */
export function orExit<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(EXIT_CONFIG);
  }
}

/** True when systemd connected stdout to the journal (systemd.exec(5)). */
export function logsToJournal(): boolean {
  return Boolean(process.env.JOURNAL_STREAM);
}

/** What systemd says to this process: sockets it opened (sd_listen_fds(3)) and where to report (sd_notify(3)). */
export function systemdEnvironment(): NodeJS.ProcessEnv {
  return process.env;
}

/** True when npm runs this process as a script, and so is its parent. */
export function runByNpm(): boolean {
  return Boolean(process.env.npm_lifecycle_event);
}

/** The environment for a child process: ours, with these settings changed. */
export function childEnvironment(changes: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, ...changes };
}

/** The configuration as it may be logged: secrets only as true (set) or false. */
export function describeConfig(config: Config): Record<string, unknown> {
  const shown = Object.entries(config).map(([name, current]) => {
    const { secret } = SETTINGS[name as SettingName] as Setting<unknown>;
    return [name, secret ? isSet(current) : current];
  });
  return Object.fromEntries(shown);
}

function isSet(current: unknown): boolean {
  return Array.isArray(current) ? current.length > 0 : current !== undefined;
}

function readSettings(env: NodeJS.ProcessEnv, problems: string[]): Settings {
  const read = Object.entries(SETTINGS).map(([name, one]) => [
    name,
    readSetting(one as Setting<unknown>, env, problems),
  ]);
  return Object.fromEntries(read) as Settings;
}

function readSetting(one: Setting<unknown>, env: NodeJS.ProcessEnv, problems: string[]): unknown {
  const given = env[one.env]?.trim();
  if (given === undefined || (given === '' && !one.refuseEmpty)) return one.fallback;
  try {
    if (given === '') throw new Error('is empty: give it a value or remove it');
    return one.parse(given);
  } catch (error) {
    problems.push(`${one.env} ${(error as Error).message}.`);
    return one.fallback;
  }
}

function readFile(settings: Settings, target: FromFile, problems: string[]): void {
  const source = FROM_FILES[target];
  const file = settings[source];
  if (file === undefined) return;
  const { env, parse, fallback } = SETTINGS[target];
  const fileEnv = SETTINGS[source].env;
  if (settings[target] !== fallback) problems.push(`${env} and ${fileEnv} are both set: remove one.`);
  try {
    const content = readFileSync(file, 'utf8').trim();
    if (content === '') throw new Error('is empty');
    Object.assign(settings, { [target]: parse(content) });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    problems.push(
      code ? `${fileEnv} names a file that cannot be read (${code}).` : `${fileEnv}: its content ${message}.`,
    );
  }
}

function contradictions(settings: Settings): string[] {
  const { nodeEnv, host, operators, webhookSecrets, webhookToken } = settings;
  const production = nodeEnv === 'production';
  const unsigned = webhookSecrets.length === 0 && webhookToken.length === 0;
  const rules: [broken: boolean, advice: string][] = [
    [production && unsigned, 'NODE_ENV=production needs ZOHO_WEBHOOK_SECRET or ZOHO_WEBHOOK_TOKEN: set one.'],
    [production && operators.length === 0, 'NODE_ENV=production needs OPERATOR_TOKENS (name:role:token): set it.'],
    [production && settings.crashAt !== undefined, 'TDS_CRASH_AT is for tests: remove it or NODE_ENV=production.'],
    [
      operators.length === 0 && !value.isLoopback(host),
      'HOST is open to the network without OPERATOR_TOKENS: set tokens or HOST=127.0.0.1.',
    ],
    [
      unsigned && !value.isLoopback(host),
      'HOST is open to the network without ZOHO_WEBHOOK_SECRET or ZOHO_WEBHOOK_TOKEN: set one or HOST=127.0.0.1.',
    ],
    [
      settings.webhookAuth === 'both' && (webhookSecrets.length === 0 || webhookToken.length === 0),
      'WEBHOOK_AUTH=both needs ZOHO_WEBHOOK_SECRET and ZOHO_WEBHOOK_TOKEN: set both or WEBHOOK_AUTH=either.',
    ],
    [
      settings.queueDriver === 'bullmq' && settings.redisUrl === undefined,
      'QUEUE_DRIVER=bullmq needs REDIS_URL: set it or QUEUE_DRIVER=postgres.',
    ],
    [
      settings.retryMaxSeconds < settings.retryBaseSeconds,
      'RETRY_MAX_SECONDS is less than RETRY_BASE_SECONDS: raise it.',
    ],
    [
      (settings.watchdogSeconds ?? 0) > 0 && (settings.watchdogSeconds ?? 0) < 1,
      'WATCHDOG_SECONDS below 1 would end healthy workers: raise it, or switch the watchdog off with 0.',
    ],
    [
      (settings.watchdogSeconds ?? 0) > settings.leaseSeconds / 2,
      'WATCHDOG_SECONDS is more than half of LEASE_SECONDS, so that other workers would act first: lower it.',
    ],
  ];
  return rules.filter(([broken]) => broken).map(([, advice]) => advice);
}
