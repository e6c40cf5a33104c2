/** One process of TDS Core under test: started, watched by its log, hit with signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { waitFor } from '../helper.ts';
import { childrenOf, killTree } from '../process-table.ts';
import { reap } from './reaper.ts';

const ROOT = path.join(import.meta.dirname, '../..');
const KEPT_LINES = 400;

export type Usage = { rss: number; fds: number };
export type Exit = { code: number | null; signal: NodeJS.Signals | null; afterMs: number };

export class Child {
  readonly name: string;
  readonly #process: ChildProcess;
  readonly #messages = new Map<string, number>();
  readonly lines: string[] = [];
  readonly exited: Promise<Exit>;
  readonly #startedAt = performance.now();

  constructor(name: string, script: string, env: Record<string, string>) {
    this.name = name;
    const environment = { PATH: process.env.PATH ?? '', NODE_ENV: 'test', ...env };
    this.#process = spawn(process.execPath, [script], {
      cwd: ROOT,
      env: environment,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    reap(this.#process);
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream) readline.createInterface({ input: stream }).on('line', (line) => this.#hear(line));
    }
    this.exited = once(this.#process, 'exit').then(([code, signal]) => ({
      code,
      signal,
      afterMs: performance.now() - this.#startedAt,
    }));
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  get running(): boolean {
    return this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** How often this constant message was logged. */
  count(message: string): number {
    return this.#messages.get(message) ?? 0;
  }

  async said(message: string, timeoutMs = 90_000): Promise<void> {
    const heard = () => this.count(message) > 0 || !this.running;
    await waitFor(`${this.name} to log "${message}"`, () => heard() || undefined, timeoutMs);
    if (this.count(message) === 0) throw new Error(`${this.name} ended early:\n${this.lines.slice(-20).join('\n')}`);
  }

  signal(signal: NodeJS.Signals): void {
    if (this.running) this.#process.kill(signal);
  }

  /** kill -9 of the process and of those it has started, also while they are frozen. */
  killTree(): void {
    if (this.running) killTree(this.pid);
  }

  /** The process in which a worker runs suspects, while there is one. */
  get suspectsPid(): number | undefined {
    return childrenOf(this.pid).find(({ command }) => command.includes('--suspects-only'))?.pid;
  }

  /** Sends a signal and waits for the end. Milliseconds it took are in `afterMs`. */
  async end(signal: NodeJS.Signals): Promise<Exit> {
    const since = performance.now();
    this.signal(signal);
    return { ...(await this.exited), afterMs: performance.now() - since };
  }

  /** Memory in bytes and open file descriptors, from /proc. */
  usage(): Usage {
    const status = fs.readFileSync(`/proc/${this.pid}/status`, 'utf8');
    const rss = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) * 1024;
    return { rss, fds: fs.readdirSync(`/proc/${this.pid}/fd`).length };
  }

  #hear(line: string): void {
    this.lines.push(line);
    if (this.lines.length > KEPT_LINES) this.lines.shift();
    const message = messageOf(line);
    if (message) this.#messages.set(message, this.count(message) + 1);
  }
}

/** Processes log one JSON object per line; what is none, such as a crash report of Node, has no message. */
function messageOf(line: string): string | undefined {
  try {
    return JSON.parse(line).message;
  } catch {
    return undefined;
  }
}
