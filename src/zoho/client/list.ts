/** Pages of a list: what may be asked, how it is written, and what an answer says about the pages to come. */
import type { ZohoRecord } from './records.ts';

export type ListQuery = {
  /** From 1. */
  page: number;
  /** Default and most: 200. */
  perPage?: number;
  /** Only what changed since; whether the module heeds it is for `filterIgnored` to say. */
  since?: Date;
  newestFirst?: boolean;
  /** Ask for the number of all records too. */
  withTotal?: boolean;
};

export type ListPage = {
  /** Rows without lines: reasons to fetch a record, never records. */
  rows: ZohoRecord[];
  /** Why other rows of the page cannot be used, a phrase each. */
  unusable: string[];
  hasMore: boolean;
  /** All records of the list, when Zoho says so. */
  total: number | null;
};

export const MAX_PER_PAGE = 200;
/** The query parameters of a page. */
export function listParameters({ page, perPage = MAX_PER_PAGE, since, newestFirst, withTotal }: ListQuery) {
  return {
    page: String(page),
    per_page: String(perPage),
    ...(since ? { last_modified_time: zohoTime(since) } : {}),
    ...(newestFirst ? { sort_column: 'last_modified_time', sort_order: 'D' } : {}),
    ...(withTotal ? { response_option: '1' } : {}),
  };
}

/** A time as Zoho's filters want it: whole seconds, offset without a colon. Rounded down, so that nothing falls between. */
export function zohoTime(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, '+0000');
}

/** What `page_context` says; undefined or null where it says nothing. */
export function contextOf(body: Record<string, unknown>): { hasMore: boolean | undefined; total: number | null } {
  const context = (body.page_context ?? {}) as Record<string, unknown>;
  const { has_more_page: more, total } = context;
  const count = typeof total === 'string' && total !== '' ? Number(total) : total;
  return {
    hasMore: typeof more === 'boolean' ? more : undefined,
    total: typeof count === 'number' && Number.isInteger(count) ? count : null,
  };
}
