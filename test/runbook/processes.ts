import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type Teardown, waitFor } from '../helper.ts';

const SOURCES = path.join(import.meta.dirname, '../../src');

export type Started = { child: ChildProcess; output: () => string };

/** Starts the API and a worker as real processes with these settings, and answers the API's URL. */
export async function startProcesses(t: Teardown, settings: Record<string, string>): Promise<string> {
  const api = startProcess(t, 'api/main.ts', { ...settings, PORT: '0' });
  const worker = startProcess(t, 'worker/main.ts', settings);
  await waitFor('the worker to start', () => running(worker).output().includes('"starting"'));
  return waitFor('the API to listen', () => /"url":"(http[^"]+)"/.exec(running(api).output())?.[1]);
}

/** Starts one process with nothing in its environment but these settings; ended at teardown. */
export function startProcess(t: Teardown, script: string, settings: Record<string, string>): Started {
  const child = spawn(process.execPath, [path.join(SOURCES, script)], {
    env: { PATH: process.env.PATH, ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      output += chunk;
    });
  }
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'exit');
  });
  return { child, output: () => output };
}

function running(started: Started): Started {
  if (started.child.exitCode !== null) throw new Error(`ended with ${started.child.exitCode}:\n${started.output()}`);
  return started;
}
