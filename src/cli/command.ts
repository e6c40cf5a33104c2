import type { Config } from '../config.ts';
import type { Transport } from './transport.ts';

export type Format = 'table' | 'json' | 'jsonl' | 'csv';

/** The outer world of the command line, so that a test can be it. */
export type Io = {
  config: Config;
  out(text: string): void | Promise<void>;
  err(text: string): void;
  /** Whether stdin, stdout and stderr are terminals. */
  tty: { in: boolean; out: boolean; err: boolean };
  /** Asks on the terminal; true for yes. */
  ask(question: string): Promise<boolean>;
  /** Resolves after so many milliseconds, or earlier when the user ends the command. */
  sleep(ms: number): Promise<boolean>;
};

/** What a command answers. */
export type Result = {
  /** What -o json prints. */
  data: unknown;
  /** The lines of the other formats; default: those of `data`. */
  rows?: Record<string, unknown>[];
  /** Which columns these show, in this order; default: all. */
  columns?: string[];
  /** Printed in place of a table. */
  text?: string;
  /** Has printed what there is to print. */
  silent?: boolean;
  exitCode?: number;
};

export type Options = Record<string, string | string[] | boolean | undefined>;

export type Context = {
  io: Io;
  /** Opened when first asked for. */
  api(): Promise<Transport>;
  options: Options;
  format: Format;
  /** A sentence for the person, on stderr. */
  say(words: string): void;
  /** Asks before a deed; true at once with --yes. Without a terminal it takes --yes. */
  confirm(question: string): Promise<boolean>;
};

export type Command = {
  /** The words after `tds`, such as 'events list'. */
  name: string;
  summary: string;
  /** Printed by --help. */
  examples: string[];
  /** As commander writes them: '<id>', '[ids...]', each with a description. */
  args?: [name: string, description: string][];
  /** As commander writes them: '--limit <n>', each with a description. */
  options?: [flags: string, description: string][];
  /** Reads only, and may be watched. */
  reads?: boolean;
  /** Asks for confirmation, and takes --yes. */
  confirms?: boolean;
  /** Takes --dry-run. */
  plans?: boolean;
  run(context: Context, args: string[]): Promise<Result>;
};

/** The caller wrote something that cannot be meant: exit code 2. */
export class UsageError extends Error {}
