import { Command as Commander, CommanderError, Option } from 'commander';
import { VERSION } from '../version.ts';
import { type Command, type Context, type Format, type Io, type Options, UsageError } from './command.ts';
import { checkCommand } from './commands/check.ts';
import { completenessCommand } from './commands/completeness.ts';
import { dlqCommands } from './commands/dlq.ts';
import { dlqDeedCommands } from './commands/dlq-deeds.ts';
import { doctorCommand } from './commands/doctor.ts';
import { eventCommands } from './commands/events.ts';
import { exportCommand } from './commands/export.ts';
import { installationCommands } from './commands/installation.ts';
import { operatorCommands } from './commands/operators.ts';
import { queueCommands } from './commands/queue.ts';
import { statusCommand } from './commands/status.ts';
import { syncCommands } from './commands/sync.ts';
import { tokenCommands } from './commands/tokens.ts';
import { zohoCommands } from './commands/zoho.ts';
import { completionCommand } from './completion.ts';
import { openTransport } from './open.ts';
import { print } from './output.ts';
import { readNumber } from './since.ts';
import type { Transport } from './transport.ts';

export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;
const WATCH_SECONDS = '2';
const FORMATS: Format[] = ['table', 'json', 'jsonl', 'csv'];

export const COMMANDS: Command[] = [
  statusCommand,
  checkCommand,
  doctorCommand,
  completenessCommand,
  ...eventCommands,
  ...dlqCommands,
  ...dlqDeedCommands,
  ...queueCommands,
  ...syncCommands,
  ...operatorCommands,
  ...tokenCommands,
  exportCommand,
  ...zohoCommands,
  ...installationCommands,
  completionCommand(() => COMMANDS),
];

const SUMMARIES: Record<string, string> = {
  events: 'Events: list, show, why, replay, take out of the queue',
  dlq: 'Dead letters: list, by cause, retry, edit, discard',
  queue: 'The queue as a whole: counts, pause, purge, rebuild',
  sync: 'How the mirror is kept in step: health, events, errors, course',
  alerts: 'Alerts: list, acknowledge, test',
  workers: 'Worker processes',
  workflow: 'Workflows: list, start, pause, retry, approve',
  audit: 'What operators did',
  token: 'Tokens of operators: make, list, revoke',
  zoho: 'Zoho Books itself: connect, check, quota, signatures',
  views: 'The typed views of the mirror',
  migrate: 'The tables of the database',
  config: 'Settings',
};

const INTRODUCTION = `Operates TDS Core. Data goes to stdout, words to stderr.

It talks to the API at TDS_URL with the token TDS_TOKEN. Without TDS_URL it works on the database of DATABASE_URL, and
without that one it talks to the API of this machine.

Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 78 a setting cannot be used; tds check has those of Nagios, and tds\ndoctor 1 for warnings and 2 for what is critical.`;

/** Runs one command line, the words after `tds`, and returns its exit code. Never throws. */
export async function run(io: Io, words: string[]): Promise<number> {
  let exitCode = 0;
  const program = build(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: 'user' });
    return exitCode;
  } catch (error) {
    return failed(io, error);
  }
}

function failed(io: Io, error: unknown): number {
  // Commander has said what is wrong; help and version are no errors.
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE;
  const { message } = error as Error;
  io.err(`tds: ${message}\n`);
  return error instanceof UsageError ? EXIT_USAGE : EXIT_FAILED;
}

function build(io: Io, ended: (exitCode: number) => void): Commander {
  const root = prepare(new Commander('tds'), io).description(INTRODUCTION).version(VERSION);
  const nouns = new Map<string, Commander>();
  for (const command of COMMANDS) {
    const [noun = '', verb] = command.name.split(' ');
    const parent = verb === undefined ? root : (nouns.get(noun) ?? prepare(root.command(noun), io));
    if (verb !== undefined) nouns.set(noun, parent.description(SUMMARIES[noun] ?? ''));
    add(parent, verb ?? noun, command, io, ended);
  }
  return root;
}

/** Commander would end the process by itself. */
function prepare(commander: Commander, io: Io): Commander {
  return commander
    .exitOverride()
    .configureOutput({ writeOut: (text) => void io.out(text), writeErr: io.err })
    .showHelpAfterError('(--help shows how)');
}

function add(parent: Commander, word: string, command: Command, io: Io, ended: (exitCode: number) => void): void {
  const commander = prepare(parent.command(word), io).description(command.summary);
  for (const [name, description] of command.args ?? []) commander.argument(name, description);
  for (const [flags, description] of command.options ?? []) commander.option(flags, description);
  if (command.plans) commander.option('--dry-run', 'only say what would be done');
  if (command.confirms) commander.option('-y, --yes', 'do not ask');
  if (command.reads) commander.option('-w, --watch [seconds]', `again and again (default: every ${WATCH_SECONDS} s)`);
  commander.addOption(new Option('-o, --output <format>', 'how to print').choices(FORMATS).default('table'));
  commander.option('--url <url>', 'address of the API, in place of TDS_URL');
  commander.addHelpText('after', `\nExamples:\n${command.examples.map((example) => `  ${example}`).join('\n')}`);
  commander.action(async (...given: unknown[]) => {
    const args = (given.slice(0, command.args?.length ?? 0) as (string | string[] | undefined)[]).flat();
    const words = args.filter((word) => word !== undefined);
    ended(await execute(io, command, words, commander.opts()));
  });
}

async function execute(io: Io, command: Command, args: string[], options: Options): Promise<number> {
  let transport: Promise<Transport> | undefined;
  const api = () => {
    transport ??= openTransport(io.config, options.url as string | undefined);
    return transport;
  };
  try {
    return await repeat(io, command, args, contextOf(io, options, api));
  } finally {
    await transport?.then((open) => open.close()).catch(() => {});
  }
}

function contextOf(io: Io, options: Options, api: () => Promise<Transport>): Context {
  return {
    ...{ io, api, options, format: options.output as Format },
    say: (words) => io.err(`${words}\n`),
    async confirm(question) {
      if (options.yes) return true;
      if (!io.tty.in || !io.tty.err) throw new UsageError('nobody can be asked here: add --yes, or --dry-run first');
      return io.ask(question);
    },
  };
}

async function repeat(io: Io, command: Command, args: string[], context: Context): Promise<number> {
  const { watch } = context.options;
  const seconds = watch && readNumber('watch', watch === true ? WATCH_SECONDS : String(watch), 1, 86_400);
  for (;;) {
    const result = await command.run(context, args);
    if (seconds && io.tty.out) await io.out('\x1b[2J\x1b[H');
    await print(io, context.format, result);
    if (!seconds || !(await io.sleep(seconds * 1000))) return result.exitCode ?? 0;
  }
}
