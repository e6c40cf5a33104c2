/** The only reader of the environment. What a process may be told is declared once, in `config/settings.ts`. */
import { readFileSync } from 'node:fs';
import { contradictions } from './config/contradictions.ts';
import { unknownNames } from './config/names.ts';
import {
  FROM_FILES,
  type FromFile,
  SETTINGS,
  type Setting,
  type SettingName,
  type Settings,
} from './config/settings.ts';
import { type Command, readArguments } from './usage.ts';

export { SETTINGS } from './config/settings.ts';
export type { Operator, Role } from './config/values.ts';

/**
 * Exit code of a process that cannot use its settings: EX_CONFIG of sysexits.h. Starting it again would not help, so
 * neither systemd (RestartPreventExitStatus) nor `npm start` does.
 */
export const EXIT_CONFIG = 78;

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
