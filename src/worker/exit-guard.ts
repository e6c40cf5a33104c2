import { syncBuiltinESMExports } from 'node:module';
import { workInHand } from './containment.ts';

const INSTEAD = 'throw an error to fail the event, or return to complete it';

/** What ends a process or cuts it off from its launcher. */
const DEADLY = ['exit', 'reallyExit', 'abort', 'execve', 'disconnect'] as const;

/**
 * Refuses to end the process at the request of a handler: `process.exit()` and its like throw there. Everybody else,
 * such as our own shutdown, ends it as before. For the life of the process; a second call changes nothing.
 */
export function guardExit(): void {
  if (guarded) return;
  guarded = true;
  for (const name of DEADLY) guard(name);
  guard('kill', (pid, signal) => aimsAtUs(Number(pid)) && signal !== 0);
  // For handlers that `import { exit } from 'node:process'`.
  syncBuiltinESMExports();
}

let guarded = false;

function guard(name: (typeof DEADLY)[number] | 'kill', isDeadly: (...args: unknown[]) => boolean = () => true): void {
  const methods = process as unknown as Record<string, ((...args: unknown[]) => unknown) | undefined>;
  const original = methods[name];
  if (!original) return; // disconnect exists only below a launcher, execve not everywhere
  methods[name] = function guarded(this: unknown, ...args: unknown[]) {
    const work = workInHand();
    if (work && isDeadly(...args)) throw new Error(refusal(name, work.handler));
    return original.apply(this, args);
  };
}

/** kill(2): 0 and -1 include us, and below a launcher our process group bears our own number. */
function aimsAtUs(pid: number): boolean {
  return [0, -1, process.pid, -process.pid].includes(pid);
}

function refusal(name: string, handler: string): string {
  return `handler ${handler} called process.${name}(), which would end the worker for every event: ${INSTEAD}`;
}
