import { sql } from 'kysely';
import t from 'tap';
import { readCompleteness } from '../../src/monitor/completeness.ts';
import { compactCounts } from '../../src/queue/counts.ts';
import { enqueue } from '../../src/queue/enqueue.ts';
import { rebuild } from '../../src/queue/rebuild.ts';
import { judgeHoles } from '../../src/sync/holes.ts';
import { purgePulls } from '../../src/sync/purge.ts';
import { mirroring } from '../handlers/mirroring.ts';
import { testDatabase } from '../helper.ts';
import { settled, startMirroring } from '../sync/mirroring.ts';
import { stage } from '../sync/stage.ts';
import { webhookOf } from '../sync/webhook.ts';
import type { Entry } from '../zoho/books.ts';

const database = await testDatabase(t);
const { db, pool } = database;
startMirroring(t, database);

const rowOf = async (module: string) => (await readCompleteness(db)).find((row) => row.module === module);

t.test('a change that no webhook announces is a hole, once its grace is over', async (t) => {
  const { books, run, standIn } = await stage(t, database, { salesorder: 5, tax: 2 });
  const { organizationId } = standIn;
  await run('SyncAll', { modules: ['salesorder', 'tax'] });
  await settled(database);
  t.same(await judgeHoles(db, 0), { judged: 7, holes: 0 }, 'a first load is no hole');
  t.match(await rowOf('salesorder'), {
    ...{ organization_id: organizationId, records: 5, holes: 0, incomplete: 0, stale: 0, webhooks_last_24h: 0 },
    ...{ last_webhook_at: null, last_change_at: Date, silent: false, announced: null, last_reconcile: null },
  });

  const [announced, dropped, late] = books.live('salesorder') as [Entry, Entry, Entry];
  for (const entry of [announced, dropped, late]) books.change(entry);
  const webhook = (entry: Entry) =>
    enqueue(pool, [
      webhookOf({
        ...{ organizationId, module: 'salesorder', entityId: entry.id, action: 'updated', record: books.detail(entry) },
        version: new Date(entry.changedAt * 1000),
      }),
    ]);
  await webhook(announced);
  await settled(database);
  await run('SyncChangedSalesOrders');
  t.same(await judgeHoles(db, 3600), { judged: 0, holes: 0 }, 'its webhook may still come');
  await webhook(late);
  t.same(await judgeHoles(db, 0), { judged: 2, holes: 1 });
  const { rows } = await pool.query('select entity_id, difference from tds_holes');
  t.same(rows, [{ entity_id: dropped.id, difference: 'stale' }]);
  t.match(await rowOf('salesorder'), { holes: 1, holes_last_24h: 1, webhooks_last_24h: 2, silent: false });

  await settled(database);
  books.delete(dropped);
  await run('Reconcile', { modules: ['salesorder'] });
  t.same(await judgeHoles(db, 0), { judged: 1, holes: 1 }, 'nobody told of the deletion');
  t.match(await rowOf('salesorder'), {
    ...{ records: 4, holes: 2, silent: true },
    last_reconcile: { verdict: 'repaired', records: 4, agree: 4, completed_at: /^\d{4}-/ },
  });
  t.match(await rowOf('tax'), { records: 2, holes: 0, silent: false });
});

t.test('stale and incomplete rows are told apart', async (t) => {
  const { books, run, standIn } = await stage(t, database, { item: 3 });
  await run('SyncAllItems');
  await settled(database);
  const [entry] = books.live('item') as [Entry];
  const { organizationId } = standIn;
  const part = { module: 'item', organizationId, version: new Date(), record: { item_id: entry.id, status: 'x' } };
  await mirroring(db).batch({ ...part, entityId: entry.id }, { ...part, entityId: '77' });
  t.match(await rowOf('item'), { records: 3, stale: 1, incomplete: 1 });
});

/** Webhooks of so many hours, one each: every `step` hours until `until` hours ago. */
async function rhythm(step: number, until: number): Promise<void> {
  await pool.query('truncate tds_change_totals, tds_holes, tds_pull_marks');
  await sql`
    insert into tds_change_totals (organization_id, module, bucket, webhooks, last_webhook_at)
    select '10', 'invoice', date_trunc('hour', at), 1, at
    from generate_series(now() - interval '20 days', now() - ${until} * interval '1 hour', ${step} * interval '1 hour') at`.execute(
    db,
  );
}

t.test(
  'a module falls silent when its webhooks stop for much longer than they ever did, if it is pulled',
  async (t) => {
    await rhythm(12, 6);
    t.match(await rowOf('invoice'), { expected_within_seconds: 18 * 3600, silent: false });
    await rhythm(12, 24);
    t.match(await rowOf('invoice'), { silent: false }, 'nothing is pulled: nobody says what should have come');
    await pool.query(`insert into tds_pull_marks (organization_id, module, known_until, first_pulled_at, run_id)
    values ('10', 'invoice', now(), now(), gen_random_uuid())`);
    t.match(await rowOf('invoice'), { silent: true });
    await pool.query(`insert into tds_change_totals (organization_id, module, bucket, webhooks, last_webhook_at)
    values ('10', 'invoice', now(), 1, now())`);
    t.match(await rowOf('invoice'), { silent: false });
    await pool.query(`delete from tds_change_totals where bucket < now() - interval '5 days'`);
    t.match(await rowOf('invoice'), { expected_within_seconds: null, silent: false }, 'too short a history');
  },
);

t.test('what is compacted, purged or rebuilt counts the same', async (t) => {
  await pool.query(`truncate tds_change_totals, tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_pull_marks,
    books_records`);
  const version = new Date('2026-06-09T09:47:43Z');
  const webhook = { organizationId: '10', module: 'invoice', action: 'updated', version };
  for (let n = 0; n < 5; n += 1) await enqueue(pool, [webhookOf({ ...webhook, entityId: `${n}` })]);
  const before = await readCompleteness(db);
  t.match(before, [
    { organization_id: '10', module: 'invoice', webhooks_last_24h: 5, last_webhook_at: Date, holes: 0 },
  ]);
  await compactCounts(pool);
  t.equal((await pool.query('select from tds_change_totals')).rowCount, 1);
  t.same(await readCompleteness(db), before);
  t.same(await rebuild(pool, false), [], 'all was right');
  t.same(await readCompleteness(db), before);
  await pool.query('update tds_change_totals set webhooks = 7');
  t.same(await rebuild(pool, false), [{ what: 'webhooks of the last day', was: '7', is_now: '5' }]);
  t.same(await readCompleteness(db), before);
  await pool.query(`update tds_change_totals set bucket = bucket - interval '40 days'`);
  await purgePulls(db, 30);
  t.same(
    await readCompleteness(db),
    [{ ...before[0], webhooks_last_24h: 0 }],
    'when the last one came is not forgotten',
  );
  t.equal((await pool.query(`select from tds_change_totals where bucket = '-infinity'`)).rowCount, 1);
});
