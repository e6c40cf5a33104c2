/** The console in a browser, on an API and a database of the test file's own. */
import { sql } from 'kysely';
import type { Browser, Page } from 'playwright-core';
import { listen } from '../../src/api/server.ts';
import type { Workflows } from '../../src/workflows/registry.ts';
import { type TestApi, testApi } from '../api/client.ts';
import type { TestDatabase } from '../helper.ts';
import { openBrowser, openPage } from './chromium.ts';

type TestFile = { teardown(work: () => unknown): unknown; beforeEach(work: () => unknown): unknown };

export type Console = {
  system: TestApi;
  db: TestDatabase['db'];
  /** Of the page, which here stands below /tds. */
  url: string;
  browser: Browser;
  addWorker(): Promise<void>;
  /** A new tab with the page, once it shows its figures. */
  visit(search?: string, options?: object): Promise<Page>;
};

/** Starts everything for a test file, and empties the queue before each of its tests. */
export async function openConsole(t: TestFile, workflows?: Workflows): Promise<Console> {
  const system = await testApi(t, { basePath: '/tds' }, workflows);
  const { db } = system;
  const url = `${await listen(system.api, { host: '127.0.0.1', port: 0 })}/tds/dashboard/`;
  const browser = await openBrowser(t);
  t.beforeEach(async () => {
    for (const table of TABLES) await db.deleteFrom(table).execute();
  });
  const visit = async (search = '', options: object = {}) => {
    const { page } = await openPage(browser, options);
    await page.goto(url + search);
    await page.locator('#board').waitFor();
    return page;
  };
  return { system, db, url, browser, visit, addWorker: () => addWorker(db) };
}

const TABLES = [
  'tds_alerts',
  'tds_sync_queue',
  'tds_dead_letter_queue',
  'tds_workers',
  'tds_processing_totals',
  'tds_workflows',
] as const;

async function addWorker(db: TestDatabase['db']): Promise<void> {
  const worker_id = '00000000-0000-4000-8000-000000000001';
  const expires_at = new Date(Date.now() + 600_000);
  await db.insertInto('tds_workers').values({ worker_id, host: 'h', pid: 1, concurrency: 5, expires_at }).execute();
}

export type DeadLetters = { count: number; error?: string; kind?: 'failed' | 'quarantined'; entityId?: string };

/** Open dead letters, the first one the latest; each has its number in its entity id and at the end of its error. */
export async function addDeadLetters(db: TestDatabase['db'], letters: DeadLetters): Promise<string[]> {
  const { count, error = 'no contact with id', kind = 'failed', entityId = '4600' } = letters;
  const reason = kind === 'quarantined' ? error : null;
  const { rows } = await sql<{ id: string }>`
    with numbers as (select n, gen_random_uuid() as id from generate_series(1, ${count}::int) n),
    inbox as (
      insert into tds_inbox_events (event_id, organization_id, module, action, entity_id, event_type, quarantine_reason)
      select id, '10', 'contact', 'created', ${entityId} || n, 'contact.created', ${reason} from numbers),
    payloads as (
      insert into tds_inbox_payloads (event_id, source, payload, raw_body)
      select id, 'webhook', case when ${kind} = 'failed' then '{"name":"x"}'::json end,
        case when ${kind} = 'quarantined' then '{broken'::bytea end from numbers)
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, status,
                                attempt_count, error_tag, error_message, queued_at)
    select id, n, '10', 'contact.created', ${entityId} || n, 'dead_letter', 3, 'ValidationError',
      ${error} || ' ' || n, now() - n * interval '1 minute' from numbers returning id`.execute(db);
  await sql`update tds_dead_letter_queue d set moved_to_dlq_at = q.queued_at from tds_sync_queue q
    where q.id = d.id and d.id = any (${rows.map(({ id }) => id)})`.execute(db);
  return rows.map((row) => row.id);
}

/** How many events wait: what has been retried, since no worker runs. */
export async function countPending(db: TestDatabase['db']): Promise<number> {
  const rows = await db.selectFrom('tds_sync_queue').select('id').where('status', '=', 'pending').execute();
  return rows.length;
}
