import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import t from 'tap';
import { Lifecycle, type Part, READY } from '../src/shutdown.ts';
import { silentLog, waitFor } from './helper.ts';

/** Parts that write down what happens to them. */
function recordingParts(names: string[], story: string[]): Part[] {
  return names.map((name) => ({
    name,
    start: () => story.push(`start ${name}`),
    stop: () => story.push(`stop ${name}`),
  }));
}

/** A process made of the given parts; `log` and `runProcess` are in reach of the script. */
function runScript(parts: string, deadlineMs: number, ipc = false) {
  const module = (name: string) => JSON.stringify(path.join(import.meta.dirname, '../src', name));
  const script = `import { runProcess } from ${module('shutdown.ts')};
    import { createLogger } from ${module('log.ts')};
    const log = createLogger('test');
    setInterval(() => {}, 1000);
    await runProcess([${parts}], { log, deadlineMs: ${deadlineMs}, onHangup: () => console.log('reloaded') });
    console.log('running');`;
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    stdio: ['ignore', 'pipe', 'inherit', ...(ipc ? ['ipc' as const] : [])],
  });
  const told = { output: '' };
  child.stdout?.on('data', (chunk) => {
    told.output += chunk;
  });
  return { child, told };
}

t.test('parts start in order and stop in reverse, once', async (t) => {
  const story: string[] = [];
  const lifecycle = new Lifecycle(recordingParts(['a', 'b'], story), silentLog);
  await lifecycle.start();
  const answers = await Promise.all([lifecycle.stop('test'), lifecycle.stop('again')]);
  t.strictSame(answers, [true, true]);
  t.strictSame(story, ['start a', 'start b', 'stop b', 'stop a']);
});

t.test('a part that fails to start stops those before it', async (t) => {
  const story: string[] = [];
  const [a, b, c] = recordingParts(['a', 'b', 'c'], story) as [Part, Part, Part];
  b.start = () => Promise.reject(new Error('no'));
  await t.rejects(new Lifecycle([a, b, c], silentLog).start(), /no/);
  t.strictSame(story, ['start a', 'stop b', 'stop a']);
});

t.test('a part that fails to stop does not keep the others running', async (t) => {
  const story: string[] = [];
  const [a, b] = recordingParts(['a', 'b'], story) as [Part, Part];
  b.stop = () => Promise.reject(new Error('no'));
  const lifecycle = new Lifecycle([a, b], silentLog);
  await lifecycle.start();
  t.equal(await lifecycle.stop('test'), false);
  t.strictSame(story, ['start a', 'start b', 'stop a']);
});

t.test('repeated signals stop once and exit with 0; SIGHUP reloads', async (t) => {
  const { child, told } = runScript(
    `{ name: 'slow', stop: async () => { console.log('stopping slow'); await new Promise((r) => setTimeout(r, 200)); } }`,
    5000,
  );
  const closed = once(child, 'close');
  await waitFor('the process to run', () => told.output.includes('running'));
  child.kill('SIGHUP');
  await waitFor('the reload', () => told.output.includes('reloaded'));
  child.kill('SIGTERM');
  await waitFor('the stop to begin', () => told.output.includes('stopping slow'));
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) child.kill(signal);
  t.strictSame(await closed, [0, null]);
  t.equal(told.output.split('stopping slow').length, 2, 'stopped once');
});

t.test('a stop that never ends is cut off at the deadline, with code 1', async (t) => {
  const { child, told } = runScript(`{ name: 'stuck', stop: () => new Promise(() => {}) }`, 200);
  const closed = once(child, 'close');
  await waitFor('the process to run', () => told.output.includes('running'));
  child.kill('SIGTERM');
  t.strictSame(await closed, [1, null]);
  t.match(told.output, /stop took too long/);
});

t.test('a stop that takes long says again and again what it waits for', async (t) => {
  const { child, told } = runScript(
    `{ name: 'worker', stop: () => new Promise(() => {}), waitsFor: () => '3 events in hand' }`,
    60_000,
  );
  t.teardown(() => child.kill('SIGKILL'));
  await waitFor('the process to run', () => told.output.includes('running'));
  child.kill('SIGTERM');
  const explained = /"part":"worker","waits_for":"3 events in hand"\}.*still stopping/g;
  await waitFor('two explanations', () => [...told.output.matchAll(explained)].length >= 2);
});

t.test('a parent process is told when all parts have started', async (t) => {
  const { child, told } = runScript(`{ name: 'a', start: () => console.log('started') }`, 1000, true);
  t.teardown(() => child.kill('SIGKILL'));
  const [message] = await once(child, 'message');
  t.equal(message, READY);
  await waitFor('its output', () => told.output.includes('started'));
});

t.test('a launcher that is gone before all parts have started is not told, and that is no failure', async (t) => {
  const start = `() => new Promise((resolve) => process.once('disconnect', resolve))`;
  const { child, told } = runScript(`{ name: 'a', start: ${start} }`, 1000, true);
  t.teardown(() => child.kill('SIGKILL'));
  child.disconnect();
  await waitFor('the process to run', () => told.output.includes('running'));
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  t.strictSame(await ended, [0, null]);
});
