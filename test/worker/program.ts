/** Runs a small program of test/worker/programs/ as a process of its own, for what only a process can show. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Teardown } from '../helper.ts';

export type Line = { level: string; message: string; metadata: Record<string, unknown> };

export type Program = {
  pid: number;
  output(): string;
  /** The lines of the log so far, without journald's priority. */
  lines(): Line[];
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
};

export function runProgram(t: Teardown, name: string, args: string[] = [], env: NodeJS.ProcessEnv = {}): Program {
  const file = path.join(import.meta.dirname, 'programs', name);
  const child = spawn(process.execPath, [file, ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    output += chunk;
  });
  return {
    pid: Number(child.pid),
    output: () => output,
    lines: () => output.split('\n').flatMap(parse),
    ended: once(child, 'close').then(([code, signal]) => ({ code, signal })),
  };
}

function parse(line: string): Line[] {
  const json = line.replace(/^<\d>/, '');
  return json.startsWith('{') ? [JSON.parse(json)] : [];
}
