import { readFileSync } from 'node:fs';
import type { Running } from '../system.ts';

/** Memory that a process holds at this moment, in bytes. */
export function memoryOf({ child }: Running): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024;
}
