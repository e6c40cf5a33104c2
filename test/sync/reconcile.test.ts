import t from 'tap';
import type { ModuleVerdict } from '../../src/sync/verdict.ts';
import { testDatabase } from '../helper.ts';
import { Books, type Entry } from '../zoho/books.ts';
import { clientOf } from '../zoho/calling.ts';
import { StandIn } from '../zoho/stand-in.ts';
import { disagreeing, settled, startMirroring } from './mirroring.ts';
import { runner } from './run.ts';

type Result = { verdict: string; modules: Record<string, Omit<ModuleVerdict, 'verdict'>> };

const NONE = {
  missing: 0,
  extra: 0,
  stale: 0,
  different: 0,
  repaired: 0,
  incomplete: 0,
  withheld_deletions: 0,
  problems: [],
};
const WIDE = { callsPerMinute: 1_000_000, callsPerDay: 1_000_000 };
const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

async function connected(t: Parameters<typeof StandIn.start>[0], books: Books) {
  await pool.query(`truncate books_records, tds_pulled_changes, tds_pull_rows, tds_pull_marks, tds_sync_queue,
    tds_inbox_events, tds_zoho_tokens, tds_zoho_quota cascade`);
  const standIn = await StandIn.start(t, { books, limits: WIDE });
  const client = clientOf(standIn, db, { limits: { callsPerMinute: 1_000_000 } });
  return { standIn, books, ...runner(db, client) };
}

t.test('everything is pulled, and a second run finds nothing and fetches no record', async (t) => {
  const { standIn, books, run } = await connected(t, new Books().fill({ invoice: 450, item: 250 }));
  const first = await run<Result>('Reconcile', { modules: ['invoice', 'item'] });
  t.equal(first.verdict, 'repaired');
  t.same(first.modules, {
    invoice: { ...NONE, records: 450, agree: 450, missing: 450, repaired: 450 },
    item: { ...NONE, records: 250, agree: 250, missing: 250, repaired: 250 },
  });
  t.same(await disagreeing(database, books, 'invoice'), []);
  t.same(await disagreeing(database, books, 'item'), []);
  standIn.requests.length = 0;
  const second = await run<Result>('Reconcile', { modules: ['invoice', 'item'] });
  t.equal(second.verdict, 'agrees');
  t.same(second.modules.invoice, { ...NONE, records: 450, agree: 450 });
  t.same(
    standIn.requests.map(({ path, query }) => `${path} ${query.get('page')}`),
    ['/invoices 1', '/invoices 2', '/invoices 3', '/items 1', '/items 2'],
  );
});
