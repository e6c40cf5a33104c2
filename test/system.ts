/** The real processes as children of a test: what it shows holds for `npm run api` and `npm run worker` too. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type Teardown, type TestDatabase, testDatabase, waitFor } from './helper.ts';

export type Settings = Record<string, string>;
export type Running = {
  child: ChildProcess;
  /** All it has written so far, to stdout and stderr. */
  output(): string;
};
export type RunningApi = Running & { url: string };
export type System = TestDatabase & { api: RunningApi; worker: Running };

const MAIN = { api: 'src/api/main.ts', worker: 'src/worker/main.ts' };
/** Half a second on a machine at rest. */
const START_TIMEOUT_MS = 60_000;
const ROOT = path.join(import.meta.dirname, '..');

/** A database of this test's own with one API and one worker on it, which connect as the role of the services. */
export async function startSystem(t: Teardown, settings: Settings = {}): Promise<System> {
  const database = await testDatabase(t);
  const both = { DATABASE_URL: database.appUrl, ...settings };
  const [api, worker] = await Promise.all([startApi(t, both), startWorker(t, both)]);
  return { ...database, api, worker };
}

/** An API that listens; `PORT` 0, a free one, unless the settings say otherwise. */
export async function startApi(t: Teardown, settings: Settings): Promise<RunningApi> {
  const running = spawnProcess(t, 'api', settings);
  const url = await told(running, /"url":"(http:[^"]+)"/);
  return { ...running, url };
}

export async function startWorker(t: Teardown, settings: Settings): Promise<Running> {
  const running = spawnProcess(t, 'worker', settings);
  await told(running, /"message":"(worker started)"/);
  return running;
}

/** Starts a process without waiting for anything. */
export function spawnProcess(t: Teardown, name: keyof typeof MAIN, settings: Settings): Running {
  const env = { ...process.env, PORT: '0', DRAIN_SECONDS: '2', ...settings };
  const child = spawn(process.execPath, [MAIN[name]], { cwd: ROOT, env, stdio: ['ignore', 'pipe', 'pipe'] });
  t.teardown(() => end(child, 'SIGTERM'));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  return { child, output: () => output };
}

/** Ends a process and returns when it is gone, and with it its locks and sockets. */
export async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill(signal);
  await exited;
}

async function told({ child, output }: Running, pattern: RegExp): Promise<string> {
  const heard = () => {
    if (child.exitCode !== null) throw new Error(`the process ended with ${child.exitCode}:\n${output()}`);
    return pattern.exec(output())?.[1];
  };
  return waitFor(`output that matches ${pattern}`, heard, START_TIMEOUT_MS);
}
