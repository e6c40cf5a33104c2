import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { Part } from './shutdown.ts';

const FIRST_FD = 3;

/** The socket systemd opened for this very process (sd_listen_fds(3)); undefined when it opened none. */
export function inheritedSocket(env: NodeJS.ProcessEnv): { fd: number } | undefined {
  const ours = Number(env.LISTEN_PID) === process.pid && Number(env.LISTEN_FDS) > 0;
  return ours ? { fd: FIRST_FD } : undefined;
}

/**
 * Tells systemd a state such as READY=1 or STOPPING=1 (sd_notify(3)); without systemd it does nothing. Node has no Unix
 * datagram sockets, so the program systemd-notify speaks for us, which the unit allows by NotifyAccess=all.
 */
export async function notifySystemd(env: NodeJS.ProcessEnv, state: string): Promise<void> {
  if (!env.NOTIFY_SOCKET) return;
  await promisify(execFile)('systemd-notify', [state], { timeout: 5000 });
}

/**
 * Milliseconds between two signs of life for systemd's watchdog, a third of WatchdogSec; undefined when it expects none
 * of this process (sd_watchdog_enabled(3)).
 */
export function watchdogPingMs(env: NodeJS.ProcessEnv): number | undefined {
  const microseconds = Number(env.WATCHDOG_USEC);
  const ours = env.WATCHDOG_PID === undefined || Number(env.WATCHDOG_PID) === process.pid;
  return ours && microseconds > 0 ? microseconds / 3000 : undefined;
}

/**
 * Signs of life from a timer of the event loop itself, for a process that has no watchdog of its own: systemd ends it
 * when the loop stands still for WatchdogSec.
 */
export function pingSystemd(env: NodeJS.ProcessEnv, onError: (error: unknown) => void): Part {
  const intervalMs = watchdogPingMs(env);
  let timer: NodeJS.Timeout | undefined;
  return {
    name: 'systemd watchdog',
    start() {
      if (intervalMs === undefined) return;
      timer = setInterval(() => notifySystemd(env, 'WATCHDOG=1').catch(onError), intervalMs);
    },
    stop: () => clearInterval(timer),
  };
}
