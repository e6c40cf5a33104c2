/** A measurement runs in a process of its own, so that no side inherits another's heap, JIT or connections. */
import { type ChildProcess, fork } from 'node:child_process';
import path from 'node:path';

const SMALL_HEAP = '--max-semi-space-size=8';
/** Ours are started as in production: the worker as everywhere, the API as by systemd. */
const EXEC_ARGV: Record<string, string[]> = {
  'drain-tds': [SMALL_HEAP],
  'latency-tds': [SMALL_HEAP],
  memory: [SMALL_HEAP],
  export: [SMALL_HEAP, '--max-old-space-size=320'],
};

const living = new Set<ChildProcess>();

export type Running<T> = { ready: T; stop(): Promise<void> };

/** Runs `sides/<name>.ts` with these options and returns what it reports. @throws Error with its stderr */
export async function runSide<T>(name: string, options: object): Promise<T> {
  const running = await startSide<T>(name, options);
  await running.stop();
  return running.ready;
}

/** Starts `sides/<name>.ts` and leaves it running after its report, until `stop`. */
export async function startSide<T>(name: string, options: object): Promise<Running<T>> {
  const file = path.join(import.meta.dirname, 'sides', `${name}.ts`);
  const execArgv = EXEC_ARGV[name] ?? [];
  const child = fork(file, [JSON.stringify(options)], { execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  living.add(child);
  let stderr = '';
  child.stderr?.on('data', (chunk) => {
    stderr = (stderr + chunk).slice(-4000);
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  exited.then(() => living.delete(child));
  const failed = exited.then(() => Promise.reject(new Error(`${name} ended without a result:\n${stderr}`)));
  const ready = await Promise.race([new Promise<T>((resolve) => child.once('message', resolve as never)), failed]);
  failed.catch(() => {});
  const stop = async () => {
    child.disconnect();
    await exited;
  };
  return { ready, stop };
}

/** Ends every side at once: for Ctrl-C. */
export function killSides(): void {
  for (const child of living) child.kill('SIGKILL');
}

/** The body of a side: does its work and reports. It ends when its parent lets go, or is gone. */
export function side<O, R>(work: (options: O) => Promise<R>): void {
  process.on('disconnect', () => process.exit(0));
  process.on('SIGINT', () => {}); // Ctrl-C reaches the whole group; the parent decides
  const report = (result: R) => process.send?.(result);
  const fail = (error: unknown) => {
    console.error(error);
    process.exit(1);
  };
  // Not at once: the module that calls this has constants further down.
  Promise.resolve(JSON.parse(process.argv[2] ?? '{}') as O)
    .then(work)
    .then(report, fail);
}
