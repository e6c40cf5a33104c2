/** A worker that is killed while it fetches: another one goes on, and each record enters the queue once. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sql } from 'kysely';
import t from 'tap';
import { testDatabase, waitFor } from '../helper.ts';
import { end, startWorker } from '../system.ts';
import { Books } from '../zoho/books.ts';
import { StandIn } from '../zoho/stand-in.ts';
import { disagreeing, settled } from './mirroring.ts';

const RECORDS = 120;

t.test('no record is lost and none is written twice', { timeout: 900_000 }, async (t) => {
  const books = new Books().fill({ invoice: RECORDS });
  const limits = { callsPerMinute: 1_000_000, callsPerDay: 1_000_000 };
  const standIn = await StandIn.start(t, { books, limits });
  const dataDir = mkdtempSync(path.join(tmpdir(), 'tds-refetch-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const database = await testDatabase(t);
  const settings = {
    ...{ DATABASE_URL: database.url, TDS_DATA_DIR: dataDir, ...standIn.environment },
    ...{ SYNC_CHANGED_CRON: 'off', RECONCILE_CRON: 'off', LEASE_SECONDS: '2', ZOHO_CALLS_PER_MINUTE: '1000000' },
  };
  await sql`
    insert into tds_refetches (organization_id, module, entity_id, reason)
    select ${standIn.organizationId}, 'invoice', id, 'partial'
    from unnest(${books.live('invoice').map(({ id }) => id)}::text[]) id`.execute(database.db);
  const fetched = async () => {
    const { rows } = await database.pool.query(
      'select count(*)::int as n from tds_refetches where done_at is not null',
    );
    return rows[0].n as number;
  };
  // The second batch stays under way until the first worker is dead.
  const { promise: opened, resolve: open } = Promise.withResolvers<void>();
  standIn.delay = () => (standIn.requests.length > 60 ? opened : undefined);
  const first = await startWorker(t, settings);
  await waitFor('the second batch to be under way', () => standIn.requests.length > 60, 60_000);
  const before = await fetched();
  t.ok(before >= 50 && before < RECORDS, `${before} were fetched before`);
  await end(first.child, 'SIGKILL');
  open();
  await startWorker(t, settings);
  await waitFor('all to be fetched', async () => (await fetched()) === RECORDS, 120_000);
  await settled(database);
  t.same(await disagreeing(database, books, 'invoice'), []);
  const { rows } = await database.pool.query(
    'select count(*)::int as events, count(distinct entity_id)::int as records from tds_inbox_events',
  );
  t.same(rows, [{ events: RECORDS, records: RECORDS }], 'one event for each');
});
