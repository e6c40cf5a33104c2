/** The watchdog's thread. It shares no code with the event loop that it watches, and never waits for it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { workerData } from 'node:worker_threads';
import { notifySystemd, watchdogPingMs } from '../../systemd.ts';
import { InHand, TICK_MS, type WorkInHand } from '../in-hand.ts';
import { askMainThread } from './ask-main-thread.ts';
import { writeLine } from './last-line.ts';
import { recordCulprit } from './record.ts';
import { Stall } from './stall.ts';
import { culpritOf, type Suspect, suspect } from './suspect.ts';

export type ThreadData = {
  buffer: SharedArrayBuffer;
  /** The process ends when the event loop stands still for so long. */
  stallMs: number;
  /** The main thread may take so long to say whose code it runs. */
  answerMs: number;
  workerId: string;
  databaseUrl: string;
  journald: boolean;
  env: NodeJS.ProcessEnv;
};

/** Recording the culprit is bounded by 2 s; nothing may take longer. */
const END_MS = 3000;
/** A loop that stands still for less is merely busy. */
const BUSY_MS = 4 * TICK_MS;
/** The last chance of a loop that began to turn again just now. */
const GRACE_MS = 2 * TICK_MS;

const { buffer, stallMs, answerMs, workerId, databaseUrl, journald, env } = workerData as ThreadData;
const memory = new InHand(buffer);
const stall = new Stall(TICK_MS);
const pingMs = watchdogPingMs(env);
let pingAt = 0;

for (;;) {
  await sleep(TICK_MS);
  const stalledMs = stall.look(memory.ticks, performance.now());
  if (stalledMs < BUSY_MS) ping();
  if (stalledMs >= stallMs && !memory.debugged) await accuse(stalledMs).catch(killAtOnce);
}

/** Tells systemd that the event loop turns, whatever the database does. */
function ping(): void {
  if (pingMs === undefined || performance.now() < pingAt) return;
  pingAt = performance.now() + pingMs;
  notifySystemd(env, 'WATCHDOG=1').catch((error: Error) =>
    writeLine({ level: 'warn', message: 'systemd could not be told', metadata: { error: error.message } }, journald),
  );
}

/** Finds out who blocks the loop and, unless it turns again meanwhile, ends the process. */
async function accuse(stalledMs: number): Promise<void> {
  const { ticks } = memory;
  const accused = suspect(memory, await askMainThread(answerMs));
  await sleep(GRACE_MS);
  const metadata = { blocked_ms: Math.round(stalledMs), worker_id: workerId, ...describe(accused) };
  if (memory.ticks !== ticks)
    return writeLine({ level: 'warn', message: 'the event loop was blocked', metadata }, journald);
  setTimeout(kill, END_MS);
  writeLine({ level: 'fatal', message: 'the event loop is blocked: ending the process', metadata }, journald);
  await recordCulprit(databaseUrl, workerId, culpritOf(accused)).catch(warn);
  kill();
}

/** Whatever goes wrong here must not save a process that is blocked. */
function killAtOnce({ message }: Error): void {
  writeLine({ level: 'fatal', message: 'the event loop is blocked', metadata: { error: message } }, journald);
  kill();
}

/** process.exit() would end this thread only. */
function kill(): void {
  process.kill(process.pid, 'SIGKILL');
}

function warn({ message }: Error): void {
  const metadata = { worker_id: workerId, error: message };
  writeLine({ level: 'error', message: 'the culprit could not be recorded', metadata }, journald);
}

function describe({ work, candidates, stack }: Suspect): Record<string, unknown> {
  if (candidates.length > 0) return { one_of: candidates.map(fieldsOf) };
  return { ...(work ? fieldsOf(work) : { handler: null }), stack };
}

function fieldsOf({ handler, eventId, eventType, events }: WorkInHand): Record<string, unknown> {
  return { handler, event_id: eventId, event_type: eventType, events };
}
