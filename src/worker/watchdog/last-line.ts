import fs from 'node:fs';

const STDOUT = 1;
const PATIENCE_MS = 1000;
const PAUSE_MS = 10;

export type Line = { level: 'fatal' | 'error' | 'warn'; message: string; metadata: Record<string, unknown> };

/** Of syslog, as src/log.ts gives them. */
const PRIORITIES = { fatal: 2, error: 3, warn: 4 };

/**
 * Writes a line of the log from the watchdog's thread, whose process.stdout would have to be emptied by the blocked
 * main thread. Waits a second at most for whoever reads the log.
 */
export function writeLine({ level, message, metadata }: Line, journald: boolean): void {
  const fields = { level, timestamp: new Date().toISOString(), service: 'tds-core-worker', component: 'watchdog' };
  const prefix = journald ? `<${PRIORITIES[level]}>` : '';
  let rest = Buffer.from(`${prefix}${ascii(JSON.stringify({ ...fields, message, metadata }))}\n`);
  const giveUpAt = performance.now() + PATIENCE_MS;
  while (rest.length > 0 && performance.now() < giveUpAt) rest = rest.subarray(tryWrite(rest));
}

/** Bytes written. When the pipe is full it pauses and says 0. */
function tryWrite(bytes: Buffer): number {
  try {
    return fs.writeSync(STDOUT, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return bytes.length; // nobody will ever read it
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    return 0;
  }
}

/** Names may hold what a terminal would obey or what would turn the direction of the text. */
function ascii(json: string): string {
  return json.replace(/[\u007f-\uffff]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
