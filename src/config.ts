/** The only reader of the environment. Everything a process may be told is declared once, in SETTINGS. */
import { readFileSync } from 'node:fs';
import * as value from './config-values.ts';

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
  webhookToken: setting('ZOHO_WEBHOOK_TOKEN', value.secrets, [], SECRET),
  webhookAuth: setting('WEBHOOK_AUTH', value.oneOf('either', 'both'), 'either'),
  defaultOrganization: setting('ZOHO_ORGANIZATION_ID', value.text, 'default'),
  bodyLimit: setting('WEBHOOK_BODY_LIMIT', value.integer(1024, 64 * 1024 * 1024), 1024 * 1024),

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

/** What the processes are told. Files of secrets have been read: their contents stand in the plain fields. */
export type Config = Omit<Settings, 'webhookSecretFile' | 'operatorTokensFile'>;

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
  const problems = unknownNames(env);
  const settings = readSettings(env, problems);
  readSecretFile(settings, 'webhookSecrets', 'webhookSecretFile', problems);
  readSecretFile(settings, 'operators', 'operatorTokensFile', problems);
  // Contradictions are judged only between values that could be read, or one mistake would be reported twice.
  if (problems.length === 0) problems.push(...contradictions(settings));
  if (problems.length > 0) throw new ConfigError(problems);
  const { webhookSecretFile, operatorTokensFile, ...config } = settings;
  return config;
}

/** The configuration of this process; exits with the list of problems when it cannot be used. */
export function processConfig(): Config {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(78); // EX_CONFIG of sysexits.h: systemd is told not to restart on it
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

/** Secrets may come from a file (systemd credentials) instead of the environment. */
function readSecretFile(
  settings: Settings,
  target: 'webhookSecrets' | 'operators',
  source: 'webhookSecretFile' | 'operatorTokensFile',
  problems: string[],
): void {
  const file = settings[source];
  if (file === undefined) return;
  const { env, parse } = SETTINGS[target];
  const fileEnv = SETTINGS[source].env;
  if (isSet(settings[target])) problems.push(`${env} and ${fileEnv} are both set: remove one.`);
  try {
    Object.assign(settings, { [target]: parse(readFileSync(file, 'utf8').trim()) });
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

const KNOWN = Object.values(SETTINGS).map((one) => one.env);

/** A misspelt name would be ignored in silence, and with it perhaps a protection. */
function unknownNames(env: NodeJS.ProcessEnv): string[] {
  const strangers = Object.keys(env).filter((name) => !KNOWN.includes(name));
  return strangers.flatMap((name) => {
    const meant = KNOWN.find((known) => isTypo(name, known));
    if (meant) return [`${name} is not a setting; did you mean ${meant}? Rename or remove it.`];
    return name.startsWith('TDS_') ? [`${name} is not a setting: remove it.`] : [];
  });
}

/** Short names are left alone: HOME is two letters from HOST. */
function isTypo(name: string, known: string): boolean {
  const tolerance = known.length >= 10 ? 2 : known.length >= 8 ? 1 : 0;
  if (tolerance === 0 || Math.abs(name.length - known.length) > tolerance) return false;
  return editDistance(name.toUpperCase(), known) <= tolerance;
}

/** Levenshtein: the fewest letters to add, drop or change. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const change = (previous[column - 1] ?? 0) + (a[row - 1] === b[column - 1] ? 0 : 1);
      current.push(Math.min(change, (previous[column] ?? 0) + 1, (current[column - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous.at(-1) ?? 0;
}
