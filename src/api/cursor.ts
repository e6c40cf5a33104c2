import type { Position } from '../monitor/page.ts';
import { Problem } from './problem.ts';
import { UUID } from './schemas.ts';

/** The lists that have cursors: a cursor of one does not fit another. */
export type List = 'events' | 'dead-letters' | 'workflows' | 'errors' | 'rejections';

export const FINGERPRINT = /^[0-9a-f]{16}$/;

/** Raised whenever the meaning of what stands in a cursor changes, so that an old one is refused, not misread. */
const VERSION = '2';

/** As PostgreSQL prints a timestamptz in UTC. It knows no year 0, which JavaScript does. */
const TIMESTAMP = /^((?!0000)\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.\d{1,6})?\+00$/;

/** The opaque text that continues a list after its last row. */
export function encodeCursor(list: List, { at, id }: Position): string {
  return Buffer.from([VERSION, list, at, id].join('|')).toString('base64url');
}

/** Reads what encodeCursor wrote for the same list. Throws a 400 for anything else, impossible dates included. */
export function decodeCursor(list: List, text: string | undefined): Position | undefined {
  if (text === undefined) return undefined;
  const [version, of, at = '', id = '', ...more] = Buffer.from(text, 'base64url').toString('utf8').split('|');
  if (version === VERSION && of === list && isTime(at) && isId(list, id) && more.length === 0) return { at, id };
  throw invalid('the X-Next-Cursor of an earlier answer of this list');
}

/** The opaque text that continues the change feed after this change_no. */
export function encodeChangeCursor(changeNo: string): string {
  return Buffer.from([VERSION, 'changes', changeNo].join('|')).toString('base64url');
}

/** Reads what encodeChangeCursor wrote; 0, before the first change, for none. Throws a 400 for anything else. */
export function decodeChangeCursor(text: string | undefined): string {
  if (text === undefined) return '0';
  const [version, of, changeNo = '', ...more] = Buffer.from(text, 'base64url').toString('utf8').split('|');
  // A bigint has 19 digits at most.
  if (version === VERSION && of === 'changes' && /^[0-9]{1,18}$/.test(changeNo) && more.length === 0) return changeNo;
  throw invalid('the next_cursor of an earlier answer');
}

function invalid(valid: string): Problem {
  return new Problem(400, 'invalid_cursor', `Send ${valid} unchanged, or no cursor.`);
}

function isId(list: List, id: string): boolean {
  return (list === 'errors' ? FINGERPRINT : UUID).test(id);
}

/** JavaScript turns the 30th of February into the 2nd of March: only a time that stays as it is exists. */
function isTime(text: string): boolean {
  const [, day, time] = TIMESTAMP.exec(text) ?? [];
  const milliseconds = Date.parse(`${day}T${time}Z`);
  return !Number.isNaN(milliseconds) && new Date(milliseconds).toISOString().startsWith(`${day}T${time}.`);
}
