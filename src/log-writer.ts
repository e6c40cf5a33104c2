import fs from 'node:fs';

/** journald keeps a line whole up to 48 kB (LineMax=); a longer one is cut into pieces that are no JSON. */
const MAX_LINE_BYTES = 32 * 1024;
const MAX_BACKLOG_BYTES = 1024 * 1024;
const RETRY_MS = 50;

/** Lines that could not be written because nobody read the log; also reported in the log once it flows again. */
let dropped = 0;

export function droppedLogLines(): number {
  return dropped;
}

/**
 * Writes lines at once, in order. Not pino's own sonic-boom: synchronous, it waits for a reader that stands still, and
 * asynchronous, it loses the last lines before a crash. Here neither happens: when the reader of the pipe stands still,
 * up to 1 MiB waits in memory, and what exceeds it is dropped and counted.
 */
export class LineWriter {
  readonly #fd: number;
  #backlog: Buffer[] = [];
  #backlogBytes = 0;
  #droppedHere = 0;

  constructor(fd: number) {
    this.#fd = fd;
    // Node makes the pipe non-blocking when the stream is first touched; a write then fails with EAGAIN, not waits.
    if (fd === 1) void process.stdout;
    if (fd === 2) void process.stderr;
  }

  /** Writes one JSON line (with its line feed) after a prefix that does not count as JSON. */
  write(line: string, prefix = ''): void {
    const bytes = Buffer.from(prefix + capLine(escapeHidden(line)));
    if (this.#backlogBytes > 0) this.#keep(bytes);
    else this.#keepRest(bytes, this.#tryWrite(bytes));
  }

  /** Bytes written: all, some, or none when the reader stands still. */
  #tryWrite(bytes: Buffer): number {
    try {
      return fs.writeSync(this.#fd, bytes);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return 0;
      return bytes.length; // EPIPE, ENOSPC, EIO: this line is lost; failing to log must not end the process
    }
  }

  #keepRest(bytes: Buffer, written: number): void {
    if (written < bytes.length) this.#push(bytes.subarray(written));
  }

  #keep(bytes: Buffer): void {
    if (this.#backlogBytes + bytes.length <= MAX_BACKLOG_BYTES) this.#push(bytes);
    else {
      dropped++;
      this.#droppedHere++;
    }
  }

  #push(bytes: Buffer): void {
    if (this.#backlogBytes === 0) this.#retryLater();
    this.#backlog.push(bytes);
    this.#backlogBytes += bytes.length;
  }

  #retryLater(): void {
    setTimeout(() => this.#drain(), RETRY_MS).unref();
  }

  #drain(): void {
    const waiting = Buffer.concat(this.#backlog);
    const rest = waiting.subarray(this.#tryWrite(waiting));
    this.#backlog = rest.length > 0 ? [rest] : [];
    this.#backlogBytes = rest.length;
    if (rest.length > 0) this.#retryLater();
    else this.#reportDropped();
  }

  #reportDropped(): void {
    if (this.#droppedHere === 0) return;
    const metadata = { dropped: this.#droppedHere };
    this.#droppedHere = 0;
    const fields = { level: 'warn', timestamp: new Date().toISOString(), component: 'log', metadata };
    this.write(`${JSON.stringify({ ...fields, message: 'log lines dropped' })}\n`);
  }
}

/** DEL and the C1 controls (0x9b begins a terminal command), and what switches the direction of text. */
const HIDDEN = /[\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g;

/** Escapes what JSON.stringify leaves as it is and yet makes a terminal show another line than was written. */
function escapeHidden(line: string): string {
  return line.replace(HIDDEN, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** Shortens a line that is too long, keeping it one JSON object with the usual fields. */
export function capLine(line: string): string {
  if (line.length * 3 <= MAX_LINE_BYTES || Buffer.byteLength(line) <= MAX_LINE_BYTES) return line;
  const { metadata, message, ...fields } = JSON.parse(line);
  const start = JSON.stringify(metadata)?.slice(0, 4000);
  const short = { truncated: true, original_bytes: Buffer.byteLength(line), start };
  // 4,000 + 1,000 characters stay below the limit even when each is escaped.
  return `${escapeHidden(JSON.stringify({ ...fields, message: String(message).slice(0, 1000), metadata: short }))}\n`;
}
