/** A handler that tries to end its process in every way there is. Says in JSON what it was told; then we end. */
import { spawn } from 'node:child_process';
import { exit } from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';
import { Containment } from '../../../src/worker/containment.ts';
import { guardExit } from '../../../src/worker/exit-guard.ts';

guardExit();
guardExit();
const never = new AbortController().signal;
const internal = process as unknown as { reallyExit(code: number): never };
const ways: Record<string, () => unknown> = {
  'process.exit(0)': () => process.exit(0),
  'an imported exit': () => exit(0),
  'process.reallyExit()': () => internal.reallyExit(0),
  'process.abort()': () => process.abort(),
  'a signal to itself': () => process.kill(process.pid, 'SIGTERM'),
  'a signal to its group': () => process.kill(0, 'SIGTERM'),
  'process.execve()': () => process.execve?.(process.execPath, ['node', '-e', '0'], {}),
};

const told: Record<string, string> = {};
for (const [way, end] of Object.entries(ways)) {
  const handle = async () => {
    await sleep(1);
    end();
  };
  const work = { handler: 'ends', events: [] };
  told[way] = await new Containment().run(work, never, handle).then(
    () => 'nothing',
    (error) => error.message,
  );
}

await new Containment().run({ handler: 'lives', events: [] }, never, () => {
  process.kill(process.pid, 0); // asks whether it lives
  const child = spawn('sleep', ['60']);
  process.kill(Number(child.pid), 'SIGKILL');
});
console.log(JSON.stringify({ level: 'result', told }));
process.exit(3);
