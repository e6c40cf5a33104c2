import { describeChain, messageOf, nameOf } from './describe.ts';
import { httpStatus, responseBody } from './http.ts';
import { isFromPostgres } from './postgres.ts';
import { chain, read, text } from './read.ts';
import { sanitizeText } from './text.ts';

export type ErrorCause = {
  name: string;
  message: string;
  /** SQLSTATE, code of the operating system or a library's own. */
  code?: string;
  /** HTTP status. */
  status?: number;
  /** Of the called system's answer, at most 2 kB. */
  body?: string;
  /** Of errors from PostgreSQL. */
  constraint?: string;
  table?: string;
  column?: string;
};

export type ErrorDetail = {
  /** The error itself, then what caused it; at most five. */
  causes: ErrorCause[];
  /** Frames without the message, of the program first; those of libraries only when there are no others. */
  stack?: string;
};

const MAX_CAUSES = 5;
const MAX_DETAIL_BYTES = 8192;
/** So that the stack always has room. */
const MAX_CAUSES_BYTES = 5120;
const MAX_CODE_BYTES = 100;
const MAX_CAUSE_MESSAGE_BYTES = 600;
const MAX_STACK_CHARACTERS = 100_000;

/** Hands out at most so many bytes in all. */
class Allowance {
  left: number;

  constructor(bytes: number) {
    this.left = bytes;
  }

  take(wanted: string, maxBytes: number): string {
    const taken = sanitizeText(wanted, Math.min(maxBytes, this.left));
    this.left -= Buffer.byteLength(taken);
    return taken;
  }
}

/**
 * What a developer needs to find a fault: causes and stack, in total at most 8 kB of text that PostgreSQL can store.
 * Without PostgreSQL's `detail`, `where` and `hint`, which quote rows.
 */
export function detailOf(error: unknown): ErrorDetail {
  const links = chain(error);
  const allowance = new Allowance(MAX_CAUSES_BYTES);
  const thrown = links.length === 0 ? [error] : links.slice(0, MAX_CAUSES);
  const causes = thrown.map((link) => causeOf(link, links, allowance));
  allowance.left += MAX_DETAIL_BYTES - MAX_CAUSES_BYTES;
  const frames = links.map(framesOf).find((found) => found.length > 0) ?? [];
  const stack = allowance.take(frames.join('\n'), MAX_DETAIL_BYTES);
  return stack === '' ? { causes } : { causes, stack };
}

function causeOf(link: unknown, links: unknown[], allowance: Allowance): ErrorCause {
  const message = messageOf(link, links) || describeChain(link);
  const cause: ErrorCause = {
    name: allowance.take(nameOf(link), MAX_CODE_BYTES),
    message: allowance.take(message, MAX_CAUSE_MESSAGE_BYTES),
  };
  const keep = (key: 'code' | 'body' | 'constraint' | 'table' | 'column', value: string, maxBytes = MAX_CODE_BYTES) => {
    if (value !== '') cause[key] = allowance.take(value, maxBytes);
  };
  keep('code', codeOf(link));
  const status = httpStatus(link);
  if (status !== undefined) cause.status = status;
  if (isFromPostgres(link)) for (const key of ['constraint', 'table', 'column'] as const) keep(key, text(link, key));
  else keep('body', responseBody(link) ?? '', allowance.left);
  return cause;
}

function codeOf(link: unknown): string {
  const code = read(link, 'code');
  return typeof code === 'number' ? String(code) : text(link, 'code');
}

/** The lines of the stack below the message, which is taken off first: it may look like frames itself. */
function framesOf(link: unknown): string[] {
  const stack = text(link, 'stack').slice(0, MAX_STACK_CHARACTERS);
  const message = text(link, 'message');
  const messageAt = message === '' ? -1 : stack.indexOf(message);
  const below = messageAt === -1 ? stack : stack.slice(messageAt + message.length);
  const frames = below.split('\n').filter((line) => /^\s+at /.test(line));
  const own = frames.filter((frame) => !isLibrary(frame));
  return own.length > 0 ? own : frames;
}

function isLibrary(frame: string): boolean {
  return /[\\/]node_modules[\\/]|\(?node:|<anonymous>\)?$|\(native\)/.test(frame);
}

const FRAME = /^\s+at (?:async )?(?:(.{1,200}?) \()?([^()]{1,1000}?)(?::\d+){0,2}\)?$/;

/**
 * Function and file of the first frame of a stack: 'handle (crm.ts)', '' when there is none. Without folder, line and
 * column, so that it stays the same from release to release.
 */
export function topFrame(stack: string | null): string {
  const [, name, location = ''] = FRAME.exec(stack?.split('\n', 1)[0] ?? '') ?? [];
  const file = location.split(/[\\/]/).at(-1) ?? '';
  return sanitizeText(name === undefined ? file : `${name} (${file})`, MAX_CODE_BYTES);
}
