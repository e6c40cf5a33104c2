/** The command line `tds`. */
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { environmentConfig } from '../config.ts';
import type { Io } from './command.ts';
import { run } from './program.ts';

const ended = new AbortController();

const io: Io = {
  config: environmentConfig(),
  out: (text) => write(process.stdout, text),
  err: (text) => void process.stderr.write(text),
  tty: { in: !!process.stdin.isTTY, out: !!process.stdout.isTTY, err: !!process.stderr.isTTY },
  async ask(question) {
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    const answer = await lines.question(`${question} [y/N] `).finally(() => lines.close());
    return /^y(es)?$/i.test(answer.trim());
  },
  sleep: (ms) => sleep(ms, true, { signal: ended.signal }).catch(() => false),
};

/** Resolves when the reader has taken it: what is piped to `less` may be longer than memory. */
function write(stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

// `tds events list | head`: nobody reads on.
process.stdout.on('error', () => process.exit(0));
process.on('SIGINT', () => {
  if (ended.signal.aborted || !process.argv.some((word) => /^(-w|--watch)/.test(word))) process.exit(130);
  ended.abort();
});
process.exitCode = await run(io, process.argv.slice(2));
