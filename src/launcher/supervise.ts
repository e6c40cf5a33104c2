/** Keeps a child process running: starts it, passes its output on, starts it again with a growing pause when it ends. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { EXIT_CONFIG } from '../config.ts';
import { READY } from '../shutdown.ts';

export type SupervisedOptions = {
  /** 'api' or 'worker': the prefix of its lines. */
  name: string;
  /** File below src/ that Node runs. */
  script: string;
  env: NodeJS.ProcessEnv;
  print: (name: string, line: string) => void;
  /** Called when it says that its configuration is wrong: starting it again would not help. */
  onUnusable: () => void;
};

const SOURCES = path.join(import.meta.dirname, '..');
const EXIT_WITH_PARENT = path.join(import.meta.dirname, 'exit-with-parent.ts');
/** A worker that drains a long queue stays below 180 MB; with V8's default of 16 MB it grows to 290. */
const SMALL_HEAP = '--max-semi-space-size=8';
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 10_000;
/** A child that lived this long has recovered: the next pause is the first again. */
const RECOVERED_MS = 30_000;

export class Supervised {
  readonly #options: SupervisedOptions;
  #child: ChildProcess | undefined;
  #pause = FIRST_PAUSE_MS;
  #timer: NodeJS.Timeout | undefined;
  #stopping = false;
  #ready = false;

  constructor(options: SupervisedOptions) {
    this.#options = options;
  }

  get name(): string {
    return this.#options.name;
  }

  /** True while the process that runs now has said that it has started. */
  get ready(): boolean {
    return this.#ready;
  }

  get running(): boolean {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    return pid !== undefined && exitCode === null && signalCode === null;
  }

  start(): void {
    if (this.#stopping) return;
    const child = this.#spawn();
    this.#child = child;
    const startedAt = Date.now();
    this.#passOn(child.stdout);
    this.#passOn(child.stderr);
    child.on('message', (message) => {
      this.#ready ||= message === READY;
    });
    child.on('error', (error) => this.#say(`could not be started: ${error.message}`));
    child.once('close', (code, signal) => this.#ended(code, signal, Date.now() - startedAt));
  }

  /** Asks the child to end and waits for it; after `patienceMs` milliseconds it is killed. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping = true;
    clearTimeout(this.#timer);
    const child = this.#child;
    if (!child || !this.running) return;
    const force = setTimeout(() => child.kill('SIGKILL'), patienceMs);
    child.kill('SIGTERM');
    await once(child, 'exit');
    clearTimeout(force);
  }

  /**
   * Detached, in a process group of its own: Ctrl-C goes to a whole group, and the children are to be told by us, once
   * and in order. exit-with-parent.ts ends it when we are killed.
   */
  #spawn(): ChildProcess {
    const { script, env } = this.#options;
    return spawn(process.execPath, [SMALL_HEAP, '--import', EXIT_WITH_PARENT, path.join(SOURCES, script)], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
  }

  #passOn(stream: NodeJS.ReadableStream | null): void {
    if (!stream) return;
    const lines = createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
    lines.on('line', (line) => this.#options.print(this.#options.name, line));
  }

  #ended(code: number | null, signal: NodeJS.Signals | null, livedMs: number): void {
    this.#ready = false;
    if (this.#stopping) return;
    if (code === EXIT_CONFIG) this.#options.onUnusable();
    else this.#startLater(code, signal, livedMs);
  }

  #startLater(code: number | null, signal: NodeJS.Signals | null, livedMs: number): void {
    if (livedMs > RECOVERED_MS) this.#pause = FIRST_PAUSE_MS;
    this.#say(`ended with ${signal ?? `code ${code}`}; starting it again in ${this.#pause} ms`);
    this.#timer = setTimeout(() => this.start(), this.#pause);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
  }

  #say(sentence: string): void {
    this.#options.print('tds', `${this.#options.name} ${sentence}`);
  }
}
