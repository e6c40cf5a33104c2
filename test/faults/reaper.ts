/** Takes every process we started with us, whatever ends us, so that no server stays behind. */
import type { ChildProcess } from 'node:child_process';

const started = new Set<ChildProcess>();

export function reap(child: ChildProcess): void {
  started.add(child);
  child.once('exit', () => started.delete(child));
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.once(signal, () => process.exit(1));
process.on('exit', () => {
  // SIGQUIT is PostgreSQL's immediate shutdown: its children end with it. A frozen process needs SIGKILL.
  for (const child of started) child.kill(child.spawnfile.endsWith('postgres') ? 'SIGQUIT' : 'SIGKILL');
});
