/** The process table as the tests see it, read from /proc: a bare Debian has no `ps`. */
import { readdirSync, readFileSync } from 'node:fs';

/** Fields of /proc/<pid>/stat after the name, which may itself hold spaces and brackets: state, parent, ... */
export function stat(pid: number | string): string[] {
  const line = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return line.slice(line.lastIndexOf(')') + 2).split(' ');
}

/** False also for a zombie, which only waits for its parent to notice. */
export function isAlive(pid: number): boolean {
  try {
    return stat(pid)[0] !== 'Z';
  } catch {
    return false;
  }
}

/** The living children of a process with their command lines. */
export function childrenOf(parent: number): { pid: number; command: string }[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.flatMap((pid) => {
    try {
      if (stat(pid)[1] !== String(parent)) return [];
      return [{ pid: Number(pid), command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') }];
    } catch {
      return []; // it ended while we looked
    }
  });
}

/** kill -9 of a process and its children; those that are gone already do not matter. */
export function killTree(pid: number): void {
  const victims = [pid, ...childrenOf(pid).map((child) => child.pid)];
  for (const victim of victims.filter(isAlive)) process.kill(victim, 'SIGKILL');
}
