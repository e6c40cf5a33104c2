/** What `--help` prints: the settings are those of .env.example, so that each is explained in one place. */
import { readFileSync } from 'node:fs';
import path from 'node:path';

export type Command = 'start' | 'api' | 'worker' | 'migrate' | 'demo';

type Facts = {
  run: string;
  does: string;
  /** The one argument it takes, and what that does. */
  takes?: string;
  /** The sections of .env.example that concern it. */
  concerns: (section: string) => boolean;
};

const EXAMPLE = path.join(import.meta.dirname, '../.env.example');

const COMMANDS: Record<Command, Facts> = {
  start: {
    run: 'npm start',
    does: 'Starts everything in this terminal: PostgreSQL (unless DATABASE_URL names one), the schema, API and worker.',
    concerns: () => true,
  },
  api: {
    run: 'npm run api',
    does: 'Serves webhooks, dashboard, console and health. Needs DATABASE_URL.',
    concerns: (section) => section !== 'Worker',
  },
  worker: {
    run: 'npm run worker',
    does: 'Processes events, evaluates alerts and purges. Needs DATABASE_URL. Any number of workers may run.',
    concerns: (section) => section !== 'Webhooks',
  },
  migrate: {
    run: 'npm run migrate',
    does: 'Creates or updates the tables, then ends. Needs DATABASE_URL. Safe to repeat.',
    concerns: (section) => section === 'Database',
  },
  demo: {
    run: 'npm run demo',
    does: 'Sends samples to a running npm start, and one event that becomes a dead letter.',
    takes: `--pull: pulls from a stand-in for Zoho Books and reconciles, in a database of its own that is removed at the end.`,
    concerns: (section) => section === 'Process' || section === 'Webhooks',
  },
};

/** The help of a command, without a line feed at its end. */
export function usage(command: Command): string {
  const { run, does, takes, concerns } = COMMANDS[command];
  const sections = readSections().filter(({ title }) => concerns(title));
  return [
    `${run}: ${does}`,
    '',
    takes ?? 'It takes no arguments.',
    'Settings are environment variables, or lines of a file .env; after = is the default.',
    ...sections.flatMap(({ title, lines }) => ['', `${title}:`, ...lines.map((line) => `  ${line}`)]),
    '',
    'Exit codes: 0 ended as asked, 1 failed, 64 unknown argument, 78 a setting cannot be used.',
  ].join('\n');
}

/** EX_USAGE of sysexits.h. */
const EXIT_USAGE = 64;

/**
 * Ends the process with the help when that was asked for, and with a hint to it for any other argument: these commands
 * take none.
 */
export function readArguments(command: Command, [first]: string[]): void {
  if (first === undefined) return;
  const asksForHelp = first === '--help' || first === '-h';
  if (asksForHelp) process.stdout.write(`${usage(command)}\n`);
  else process.stderr.write(`${first} is not understood: settings are environment variables; --help lists them.\n`);
  process.exit(asksForHelp ? 0 : EXIT_USAGE);
}

/** `# --- Title ---` begins a section; `#NAME=default` below the lines that explain it is a setting. */
function readSections(): { title: string; lines: string[] }[] {
  const sections: { title: string; lines: string[] }[] = [];
  let explanation: string[] = [];
  for (const line of readFileSync(EXAMPLE, 'utf8').split('\n')) {
    const title = /^# --- (.*?) -+$/.exec(line)?.[1];
    if (title) sections.push({ title, lines: [] });
    if (/^#?[A-Z]/.test(line)) sections.at(-1)?.lines.push(line.replace(/^#/, ''), ...explanation);
    explanation = /^# [^-]/.test(line) ? [...explanation, line.replace(/^# /, '    ')] : [];
  }
  return sections;
}
