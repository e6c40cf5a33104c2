/** A database, a stand-in and a way to run workflows against it, for the tests of the pull. */
import type { Database } from '../../src/db/database.ts';
import { isContention } from '../../src/errors.ts';
import type { ModuleVerdict } from '../../src/sync/verdict.ts';
import type { Teardown, TestDatabase } from '../helper.ts';
import { Books, type Kind } from '../zoho/books.ts';
import { clientOf } from '../zoho/calling.ts';
import type { LimitOptions } from '../zoho/limits.ts';
import { StandIn } from '../zoho/stand-in.ts';
import { runner } from './run.ts';

export type Reconciled = { verdict: string; modules: Record<string, Omit<ModuleVerdict, 'verdict'>> };
export type Pulled = { modules: Record<string, Record<string, unknown>> };

/** No difference at all. */
export const NONE = {
  ...{ missing: 0, extra: 0, stale: 0, different: 0, repaired: 0, incomplete: 0, withheld_deletions: 0 },
  problems: [] as string[],
};

/** A worker that looks for events takes the same locks in another order: whoever loses the deadlock asks again. */
async function truncated(pool: TestDatabase['pool'], tables: string): Promise<void> {
  await pool.query(`truncate ${tables}`).catch((error) => {
    if (!isContention(error)) throw error;
    return truncated(pool, tables);
  });
}

/** Lets a window of the quota pass, for the stand-in and for the governor, in place of waiting for it. */
export async function passWindow({ pool }: TestDatabase, { limits }: StandIn): Promise<void> {
  limits.passWindow();
  await pool.query(
    `update tds_zoho_calls set started_at = started_at - $1 * interval '1 ms',
      expires_at = expires_at - $1 * interval '1 ms', ended_at = ended_at - $1 * interval '1 ms'`,
    [limits.options.windowMs],
  );
}

const WIDE = { callsPerMinute: 1_000_000, callsPerDay: 1_000_000 };

/** An empty mirror, and a stand-in with these records that limits nobody unless told to. */
export async function stage(
  t: Teardown,
  { db, pool }: TestDatabase,
  counts: Partial<Record<Kind, number>>,
  limits: Partial<LimitOptions> = WIDE,
) {
  await truncated(
    pool,
    `books_records, tds_pulled_changes, tds_pull_rows, tds_pull_pages, tds_pull_marks,
    tds_pull_verdicts, tds_withheld_deletions, tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_zoho_tokens,
    tds_zoho_quota, tds_zoho_calls, tds_holes, tds_change_totals, tds_zoho_rules, tds_refetches`,
  );
  const books = new Books().fill(counts);
  const standIn = await StandIn.start(t, { books, limits });
  const { callsPerMinute = 100, windowMs = 60_000 } = limits;
  const client = clientOf(standIn, db, { limits: { callsPerMinute, windowMs }, patienceMs: 100 });
  /** Calls since the last time it was asked: list pages by path, and everything else. */
  const calls = () => {
    const seen = standIn.requests
      .splice(0)
      .map(({ path, query }) => `${path}${query.has('page') ? ` ${query.get('page')}` : ''}`);
    return { pages: seen.filter((call) => / \d+$/.test(call)), details: seen.filter((call) => !/ \d+$/.test(call)) };
  };
  return { standIn, books, client, calls, ...runner(db as Database, client) };
}
