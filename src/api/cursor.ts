import type { Cursor } from '../queue/inspect.ts';
import { Problem } from './problem.ts';

const TIMESTAMP = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?\+00$/;
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** The opaque text that continues a list after its last row. */
export function encodeCursor({ at, id }: Cursor): string {
  return Buffer.from(`${at} ${id}`).toString('base64url');
}

/** Reads what encodeCursor wrote; 400 for anything else. */
export function decodeCursor(text: string | undefined): Cursor | undefined {
  if (text === undefined) return undefined;
  const [day, time, id] = Buffer.from(text, 'base64url').toString('utf8').split(' ');
  const at = `${day} ${time}`;
  if (TIMESTAMP.test(at) && id !== undefined && UUID.test(id)) return { at, id };
  throw new Problem(400, 'invalid_cursor', 'Send the X-Next-Cursor of an earlier answer unchanged, or no cursor.');
}
