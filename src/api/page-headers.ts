import type { Position } from '../monitor/page.ts';
import { encodeCursor, type List } from './cursor.ts';

/**
 * What a page of a list says about the whole: how many rows there are altogether (from counters, so it costs the same
 * with five million), and the cursor of the next page when there is one.
 */
export function pageHeaders(list: List, next: Position | undefined, total: number): Record<string, string> {
  return { 'x-total-count': String(total), ...(next ? { 'x-next-cursor': encodeCursor(list, next) } : {}) };
}
