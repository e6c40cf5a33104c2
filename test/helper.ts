/** What every test file needs: a migrated database of its own, and a way to wait that is not a sleep. */
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { type Database, openDatabase } from '../src/db/database.ts';
import { createLogger } from '../src/log.ts';
import { appUrlOf, cloneTemplate, dropDatabase, testServer } from './template.ts';

export { emptyDatabase } from './template.ts';

/** `appUrl`: as the role that the services have. */
export type TestDatabase = { url: string; appUrl: string; db: Database; pool: pg.Pool };

/** The part of a tap test that the helpers use. */
export type Teardown = { teardown(work: () => unknown): unknown };

const POLL_MS = 20;

export const silentLog = createLogger('tds-core-test', 'silent');

/**
 * A fresh, migrated database for this test file, gone at teardown. On the server of DATABASE_URL when that is set,
 * otherwise on an embedded one that all test processes share.
 */
export async function testDatabase(t: Teardown): Promise<TestDatabase> {
  const server = await testServer();
  const url = await cloneTemplate(server.url);
  const { db, pool, close } = openDatabase({ url, max: 10, applicationName: 'tds-test', byIndex: true });
  t.teardown(async () => {
    await close();
    await dropDatabase(server.url, url);
    await server.stop();
  });
  return { url, appUrl: appUrlOf(url), db, pool };
}

/**
 * Asks again and again until the answer is neither false nor undefined, and returns it. A probe that throws has no
 * answer yet (a server that is still starting). Fails after `timeoutMs`, saying what was waited for.
 */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | false | undefined> | T | false | undefined,
  timeoutMs = 60_000,
): Promise<T> {
  const giveUpAt = Date.now() + timeoutMs;
  let failure: unknown;
  do {
    try {
      const answer = await probe();
      if (answer !== false && answer !== undefined) return answer;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await sleep(POLL_MS);
  } while (Date.now() < giveUpAt);
  throw new Error(`waited ${timeoutMs} ms in vain for ${what}`, { cause: failure });
}

/** Whether a session of this database waits for a lock. */
export async function someoneWaitsForALock(pool: pg.Pool): Promise<boolean> {
  const { rows } = await pool.query(
    `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
  );
  return rows.length > 0;
}
