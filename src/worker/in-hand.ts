/**
 * What the handlers of this process have in hand, in memory that the watchdog's thread can read while the event loop
 * is blocked. Written synchronously on entry to a handler; read only when nothing else helps.
 */

/** A handler at work: which, and on what. A set handler has many events in hand. */
export type Work = {
  handler: string;
  events: readonly { id: string; eventType: string; payloadText?: string | null }[];
};

/** The same, as the watchdog reads it. `eventId` and `eventType` are those of the first of `events` events. */
export type WorkInHand = { handler: string; eventId: string; eventType: string; events: number };

/** How often the event loop shows that it turns, in ms. */
export const TICK_MS = 250;

const SLOTS = 256;
const SLOT_BYTES = 512;
const LENGTH_BYTES = 2;
/** Numbers of the Int32 fields before the slots. */
const TICKS = 0;
const DEBUGGED = 1;
const RUNNING = 2;
const UNLISTED = 3;
const HEADER_BYTES = 16;
const MAX_NAME = 100;
/** A slot's number when all are taken. */
const NONE = -1;

export class InHand {
  readonly buffer: SharedArrayBuffer;
  readonly #header: Int32Array;
  readonly #bytes: Buffer;
  readonly #free: number[];

  /** @param buffer the memory of another thread's InHand; without it new memory is taken */
  constructor(buffer = new SharedArrayBuffer(HEADER_BYTES + SLOTS * SLOT_BYTES)) {
    this.buffer = buffer;
    this.#header = new Int32Array(buffer, 0, HEADER_BYTES / 4);
    this.#bytes = Buffer.from(buffer, HEADER_BYTES);
    this.#free = Array.from({ length: SLOTS }, (_, slot) => SLOTS - 1 - slot);
  }

  /** The event loop turns. `debugged`: somebody may hold it at a breakpoint, on purpose. */
  tick(debugged: boolean): void {
    Atomics.store(this.#header, DEBUGGED, debugged ? 1 : 0);
    Atomics.add(this.#header, TICKS, 1);
  }

  get ticks(): number {
    return Atomics.load(this.#header, TICKS);
  }

  get debugged(): boolean {
    return Atomics.load(this.#header, DEBUGGED) === 1;
  }

  /** Notes work; returns its slot for {@link leave}. Beyond 256 at once it is only counted. */
  enter(work: Work): number {
    const slot = this.#free.pop() ?? NONE;
    if (slot === NONE) Atomics.add(this.#header, UNLISTED, 1);
    else this.#write(slot, work);
    return slot;
  }

  leave(slot: number): void {
    if (slot === NONE) Atomics.sub(this.#header, UNLISTED, 1);
    else {
      this.#bytes.writeUInt16LE(0, slot * SLOT_BYTES);
      this.#free.push(slot);
    }
  }

  /** Runs the synchronous beginning of a handler: while it lasts there is no doubt whose code blocks the loop. */
  runBeginning<T>(slot: number, begin: () => T): T {
    Atomics.store(this.#header, RUNNING, slot + 1);
    try {
      return begin();
    } finally {
      Atomics.store(this.#header, RUNNING, 0);
    }
  }

  /** The work whose synchronous beginning runs right now. */
  running(): WorkInHand | undefined {
    const slot = Atomics.load(this.#header, RUNNING) - 1;
    return slot === NONE ? undefined : this.#read(slot);
  }

  /** All work in hand, and how much more there is that found no slot. */
  all(): { listed: WorkInHand[]; unlisted: number } {
    const slots = Array.from({ length: SLOTS }, (_, slot) => this.#read(slot));
    const listed = slots.filter((work) => work !== undefined);
    return { listed, unlisted: Atomics.load(this.#header, UNLISTED) };
  }

  #write(slot: number, work: Work): void {
    const { handler, eventId, eventType, events } = summary(work);
    const text = `${events}\n${eventId}\n${oneLine(eventType)}\n${oneLine(handler)}`;
    const at = slot * SLOT_BYTES;
    // write() stops before a character that does not fit; the name of the handler stands last and may lose its end.
    const length = this.#bytes.write(text, at + LENGTH_BYTES, SLOT_BYTES - LENGTH_BYTES);
    this.#bytes.writeUInt16LE(length, at);
  }

  #read(slot: number): WorkInHand | undefined {
    const at = slot * SLOT_BYTES;
    const length = this.#bytes.readUInt16LE(at);
    if (length === 0) return undefined;
    const text = this.#bytes.toString('utf8', at + LENGTH_BYTES, at + LENGTH_BYTES + length);
    const [events, eventId = '', eventType = '', handler = ''] = text.split('\n');
    return { handler, eventId, eventType, events: Number(events) };
  }
}

export function summary({ handler, events }: Work): WorkInHand {
  const [first] = events;
  return { handler, eventId: first?.id ?? '', eventType: first?.eventType ?? '', events: events.length };
}

function oneLine(name: string): string {
  return name.slice(0, MAX_NAME).replaceAll('\n', ' ');
}

/** The memory of this process. */
export const inHand = new InHand();
