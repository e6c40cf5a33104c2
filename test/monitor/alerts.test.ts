import { sql } from 'kysely';
import t from 'tap';
import type { Database } from '../../src/db/database.ts';
import { acknowledgeAlert } from '../../src/monitor/alerts/acknowledge.ts';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { firingAlerts } from '../../src/monitor/alerts/firing.ts';
import { testDatabase } from '../helper.ts';

const { db } = await testDatabase(t);

t.beforeEach(async () => {
  await sql`truncate tds_alerts, tds_queue_counts, tds_processing_totals, tds_sync_queue`.execute(db);
});

t.test('acknowledged is quiet until the condition clears, then armed again', async (t) => {
  await setPending(db, 600);
  await evaluateAlerts(db);
  await acknowledge(db);
  await evaluateAlerts(db);
  t.same(await titles(db), { active: [], acknowledged: ['Queue Backlog Warning'] });

  await setPending(db, 0);
  await evaluateAlerts(db);
  t.same(await titles(db), { active: [], acknowledged: [] });

  await setPending(db, 600);
  await evaluateAlerts(db);
  t.same(await titles(db), { active: ['Queue Backlog Warning'], acknowledged: [] });
});

t.test('a higher severity breaks the silence', async (t) => {
  await setPending(db, 600);
  await evaluateAlerts(db);
  await acknowledge(db);
  await setPending(db, 1500);
  await evaluateAlerts(db);
  t.same(await titles(db), { active: ['Queue Backlog Critical'], acknowledged: [] });
});

t.test('a lower severity of the same condition does not', async (t) => {
  await setPending(db, 1500);
  await evaluateAlerts(db);
  await acknowledge(db);
  await setPending(db, 600);
  await evaluateAlerts(db);
  t.same(await titles(db), { active: [], acknowledged: ['Queue Backlog Warning'] });
});

t.test('a firing alert keeps its id and shows the present value', async (t) => {
  await setPending(db, 600);
  await evaluateAlerts(db);
  const [before] = (await firingAlerts(db)).active;
  await setPending(db, 700);
  t.same(await evaluateAlerts(db), [], 'nothing changed that somebody must be told');
  const [after] = (await firingAlerts(db)).active;
  t.equal(after?.id, before?.id);
  t.equal(after?.value, 700);
  t.match(after?.message, '700 events');
});

t.test('missing data never resolves an alert', async (t) => {
  await attempts(db, 80, 20);
  await evaluateAlerts(db);
  t.same((await titles(db)).active, ['High Failure Rate']);
  await sql`truncate tds_processing_totals`.execute(db);
  await evaluateAlerts(db);
  t.same((await titles(db)).active, ['High Failure Rate']);
  await attempts(db, 100, 0);
  await evaluateAlerts(db);
  t.same((await titles(db)).active, []);
});

t.test('attempts older than an hour no longer count', async (t) => {
  await attempts(db, 0, 50, '61 minutes');
  await attempts(db, 100, 0);
  await evaluateAlerts(db);
  t.same((await titles(db)).active, []);
});

t.test('an event in processing for more than an hour is stuck', async (t) => {
  await processing(db, '59 minutes');
  await evaluateAlerts(db);
  t.same((await titles(db)).active, []);
  await processing(db, '61 minutes');
  await evaluateAlerts(db);
  t.same((await titles(db)).active, ['Stuck Events Detected']);
});

t.test('an event that says processing though no worker holds it is stuck too', async (t) => {
  await processing(db, '2 hours');
  await sql`truncate tds_queue_claims`.execute(db);
  await evaluateAlerts(db);
  t.same((await titles(db)).active, ['Stuck Events Detected']);
});

t.test('of many evaluators at once only one acts', async (t) => {
  await setPending(db, 600);
  const changes = await Promise.all(Array.from({ length: 8 }, () => evaluateAlerts(db)));
  t.equal(changes.flat().length, 1);
  t.equal((await titles(db)).active.length, 1);
});

t.test('the second acknowledgement changes nothing', async (t) => {
  await setPending(db, 600);
  await evaluateAlerts(db);
  const [alert] = (await firingAlerts(db)).active;
  t.equal(await acknowledgeAlert(db, alert?.id ?? '', 'ann'), 'acknowledged');
  t.equal(await acknowledgeAlert(db, alert?.id ?? '', 'bob'), 'already');
  t.equal((await firingAlerts(db)).acknowledged[0]?.acknowledged_by, 'ann');
});

async function setPending(db: Database, pending: number): Promise<void> {
  await db.deleteFrom('tds_queue_counts').execute();
  await db
    .insertInto('tds_queue_counts')
    .values({ pending: String(pending) })
    .execute();
}

async function attempts(db: Database, succeeded: number, failed: number, ago = '1 minute'): Promise<void> {
  await sql`insert into tds_processing_totals (bucket, succeeded, failed, duration_ms) values (now() - ${ago}::interval, ${succeeded}, ${failed}, 0)`.execute(
    db,
  );
}

async function processing(db: Database, since: string): Promise<void> {
  await sql`
    with row as (
      insert into tds_sync_queue (id, event_id, lease, entity_key, started_at, status, organization_id, event_type)
      select id, id, id, 1, now() - ${since}::interval, 'processing', '1', 'invoice.updated'
      from gen_random_uuid() as id returning id)
    insert into tds_queue_claims (lease, worker_id, queue_ids, entity_keys) select id, id, array[id], '{1}' from row`.execute(
    db,
  );
}

async function acknowledge(db: Database): Promise<void> {
  const [alert] = (await firingAlerts(db)).active;
  await acknowledgeAlert(db, alert?.id ?? '', 'ann');
}

async function titles(db: Database): Promise<{ active: string[]; acknowledged: string[] }> {
  const { active, acknowledged } = await firingAlerts(db);
  return { active: active.map(({ title }) => title), acknowledged: acknowledged.map(({ title }) => title) };
}
