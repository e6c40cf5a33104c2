import { sql } from 'kysely';
import t from 'tap';
import type { Database } from '../../src/db/database.ts';
import { acknowledgeAlert } from '../../src/monitor/alerts/acknowledge.ts';
import { evaluateAlerts } from '../../src/monitor/alerts/evaluate.ts';
import { firingAlerts } from '../../src/monitor/alerts/firing.ts';
import { testDatabase } from '../helper.ts';
import { registerWorker } from '../queue/engine.ts';

const { db, pool } = await testDatabase(t);
const evaluate = () => evaluateAlerts(db, { failureRateMinEvents: 20, watchedSeconds: 0 });

t.beforeEach(async () => {
  await sql`truncate tds_alerts, tds_queue_counts, tds_processing_totals, tds_sync_queue, tds_workers`.execute(db);
  await registerWorker(pool);
});

t.test('acknowledged is quiet until the condition clears, then armed again', async (t) => {
  await setPending(db, 600);
  await evaluate();
  await acknowledge(db);
  await evaluate();
  t.same(await titles(db), { active: [], acknowledged: ['Queue Backlog Warning'] });

  await setPending(db, 0);
  await evaluate();
  t.same(await titles(db), { active: [], acknowledged: [] });

  await setPending(db, 600);
  await evaluate();
  t.same(await titles(db), { active: ['Queue Backlog Warning'], acknowledged: [] });
});

t.test('a higher severity breaks the silence', async (t) => {
  await setPending(db, 600);
  await evaluate();
  await acknowledge(db);
  await setPending(db, 1500);
  await evaluate();
  t.same(await titles(db), { active: ['Queue Backlog Critical'], acknowledged: [] });
});

t.test('a lower severity of the same condition does not', async (t) => {
  await setPending(db, 1500);
  await evaluate();
  await acknowledge(db);
  await setPending(db, 600);
  await evaluate();
  t.same(await titles(db), { active: [], acknowledged: ['Queue Backlog Warning'] });
});

t.test('a firing alert keeps its id and shows the present value', async (t) => {
  await setPending(db, 600);
  await evaluate();
  const [before] = (await firingAlerts(db)).active;
  await setPending(db, 700);
  t.same(await evaluate(), [], 'nothing changed that somebody must be told');
  const [after] = (await firingAlerts(db)).active;
  t.equal(after?.id, before?.id);
  t.equal(after?.value, 700);
  t.match(after?.message, '700 events');
});

t.test('of many evaluators at once only one acts', async (t) => {
  await setPending(db, 600);
  const changes = await Promise.all(Array.from({ length: 8 }, () => evaluate()));
  t.equal(changes.flatMap((one) => one ?? []).length, 1);
  t.equal((await titles(db)).active.length, 1);
});

t.test('the second acknowledgement changes nothing', async (t) => {
  await setPending(db, 600);
  await evaluate();
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

async function acknowledge(db: Database): Promise<void> {
  const [alert] = (await firingAlerts(db)).active;
  await acknowledgeAlert(db, alert?.id ?? '', 'ann');
}

async function titles(db: Database): Promise<{ active: string[]; acknowledged: string[] }> {
  const { active, acknowledged } = await firingAlerts(db);
  return { active: active.map(({ title }) => title), acknowledged: acknowledged.map(({ title }) => title) };
}
