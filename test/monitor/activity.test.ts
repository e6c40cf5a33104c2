import { sql } from 'kysely';
import t from 'tap';
import { activityReader } from '../../src/monitor/activity.ts';
import { testApi } from '../api/client.ts';

const { api, db } = await testApi(t);
const HOUR_MS = 3_600_000;
const currentHour = Math.floor(Date.now() / HOUR_MS) * HOUR_MS;
const inHour = (hoursAgo: number) => new Date(currentHour - hoursAgo * HOUR_MS + 1).toISOString();

t.beforeEach(async () => {
  await db.deleteFrom('tds_sync_queue').execute();
  await db.deleteFrom('tds_processing_totals').execute();
});

t.test('an empty system has 24 hours without anything', async (t) => {
  const answer = (await api.inject('/dashboard/activity')).json();
  t.equal(answer.hours.length, 24);
  t.ok(Date.parse(answer.hours.at(-1).hour) >= currentHour);
  t.ok(answer.hours.every((hour: object) => Object.values(hour).filter((count) => count === 0).length === 3));
});

t.test('arrivals come from the queue, attempts from the totals, each in its hour', async (t) => {
  await addEvents(3, inHour(2));
  await addEvents(1, inHour(1));
  await sql`insert into tds_processing_totals values
    (${inHour(2)}, 4, 1, 10), (${inHour(2)}, 5, 0, 10), (${inHour(0)}, 1, 2, 10), (${inHour(30)}, 100, 100, 1)`.execute(
    db,
  );
  const hours = await activityReader(db)(24);
  t.same(hours.at(-3), { hour: hourOf(2), arrivals: 3, completions: 9, failures: 1 });
  t.same(hours.at(-2), { hour: hourOf(1), arrivals: 1, completions: 0, failures: 0 });
  t.match(hours.at(-1), { arrivals: 0, completions: 1, failures: 2 });
  t.equal(
    hours.reduce((sum, hour) => sum + hour.completions, 0),
    10,
  );
});

t.test('an hour that is over is counted once, the current one each time', async (t) => {
  const read = activityReader(db);
  await addEvents(2, inHour(3));
  await read(24);
  // What no system does: an arrival in the past. It shows which counts are kept.
  await addEvents(5, inHour(3));
  await addEvents(4, inHour(0));
  const hours = await read(24);
  t.equal(hours.at(-4)?.arrivals, 2);
  t.equal(hours.at(-1)?.arrivals, 4);
  t.equal((await activityReader(db)(24)).at(-4)?.arrivals, 7);
});

t.test('a count that failed is asked for again', async (t) => {
  await addEvents(1, inHour(2));
  const read = activityReader(db);
  await sql`alter table tds_sync_queue rename to away`.execute(db);
  await t.rejects(read(24));
  await sql`alter table away rename to tds_sync_queue`.execute(db);
  t.equal((await read(24)).at(-3)?.arrivals, 1);
});

t.test('no more hours than a week, and no fewer than one', async (t) => {
  for (const hours of ['0', '169', 'x']) {
    t.equal((await api.inject(`/dashboard/activity?hours=${hours}`)).statusCode, 400, hours);
  }
  t.equal((await api.inject('/dashboard/activity?hours=168')).json().hours.length, 168);
});

function hourOf(hoursAgo: number): string {
  return new Date(currentHour - hoursAgo * HOUR_MS).toISOString();
}

async function addEvents(count: number, at: string): Promise<void> {
  await sql`
    insert into tds_sync_queue (id, event_id, entity_key, organization_id, event_type, entity_id, queued_at)
    select id, id, 1, '10', 'contact.created', '1', ${at}
    from (select gen_random_uuid() as id from generate_series(1, ${count}::int)) events`.execute(db);
}
