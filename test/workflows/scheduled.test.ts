import { sql } from 'kysely';
import t from 'tap';
import { purgeWorkflows } from '../../src/workflows/purge.ts';
import { Workflows } from '../../src/workflows/registry.ts';
import { SCHEDULED, startScheduled } from '../../src/workflows/scheduled.ts';
import { testDatabase } from '../helper.ts';
import { pages } from './engine.ts';

const { db } = await testDatabase(t);
const NAME = SCHEDULED.syncChanged;
const workflows = new Workflows([pages(NAME, 1)], ['10', '11']);

t.afterEach(async () => {
  await sql`truncate tds_workflows cascade`.execute(db);
});

const tick = async (isShort = false) =>
  (await startScheduled(db, workflows, NAME, () => isShort)).map(({ outcome }) => outcome);

/** A run that ended so many minutes ago and found so many records. */
async function ended(minutesAgo: number, records: number, status = 'completed'): Promise<void> {
  await sql`insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by, created_at, updated_at)
    select ${NAME}, organization, ${status}, '{}', '{}', jsonb_build_object('records', ${records}::int), 'schedule',
      now() - ${minutesAgo}::int * interval '1 minute', now() - ${minutesAgo}::int * interval '1 minute'
    from unnest(array['10', '11']) organization`.execute(db);
}

t.test('it starts for every organization, once, however many workers ask at once', async (t) => {
  const all = (await Promise.all(Array.from({ length: 5 }, () => tick()))).flat().sort();
  t.same(all, [...Array(8).fill('already'), 'started', 'started']);
  const { rows } = await sql`select organization_id, payload, started_by from tds_workflows order by 1`.execute(db);
  t.match(rows, [
    { organization_id: '10', payload: { organization_id: '10' }, started_by: 'schedule' },
    { organization_id: '11' },
  ]);
});

t.test('it does not start while the last run is under way', async (t) => {
  await tick();
  await sql`update tds_workflows set created_at = now() - interval '5 minutes'`.execute(db);
  t.same(await tick(), ['under_way', 'under_way']);
  await sql`update tds_workflows set status = 'terminated'`.execute(db);
  t.same(await tick(), ['started', 'started']);
});

t.test('it starts less often where nothing changes and the quota is short', async (t) => {
  await ended(6, 0);
  t.same(await tick(true), ['slowed', 'slowed'], 'after one idle run every 10 minutes');
  t.same(await tick(false), ['started', 'started'], 'with enough quota every time');
  await sql`truncate tds_workflows cascade`.execute(db);
  await ended(11, 0);
  t.same(await tick(true), ['started', 'started']);
  await sql`truncate tds_workflows cascade`.execute(db);
  for (const minutes of [11, 21, 41]) await ended(minutes, 0);
  t.same(await tick(true), ['slowed', 'slowed'], 'after three of them every 40');
  await sql`truncate tds_workflows cascade`.execute(db);
  for (const minutes of [59, 119, 179, 239, 299]) await ended(minutes, 0);
  t.same(await tick(true), ['slowed', 'slowed']);
  await sql`update tds_workflows set created_at = created_at - interval '2 minutes'`.execute(db);
  t.same(await tick(true), ['started', 'started'], 'at last every hour');
});

t.test('a run that found something, or failed, ends the slowness', async (t) => {
  await ended(11, 0);
  await ended(6, 3);
  t.same(await tick(true), ['started', 'started']);
  await sql`truncate tds_workflows cascade`.execute(db);
  await ended(6, 0, 'failed');
  t.same(await tick(true), ['started', 'started']);
});

t.test('nothing starts that nobody knows', async (t) => {
  t.same(await startScheduled(db, workflows, SCHEDULED.reconcile), []);
  t.same(await startScheduled(db, new Workflows([pages(NAME, 1)], []), NAME), []);
});

t.test('old runs are purged; the last of each, failed ones and what is under way stay', async (t) => {
  await ended(60 * 24 * 40, 1);
  await ended(60 * 24 * 39, 1, 'failed');
  await ended(60 * 24 * 38, 1);
  t.equal(await purgeWorkflows(db, 30), 2);
  const { rows } = await sql`select status, count(*)::int as n from tds_workflows group by 1 order by 1`.execute(db);
  t.same(rows, [
    { status: 'completed', n: 2 },
    { status: 'failed', n: 2 },
  ]);
  t.equal(await purgeWorkflows(db, 30), 0);
});
