import { sql } from 'kysely';
import t from 'tap';
import { readActivity } from '../../src/monitor/activity.ts';
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

t.test('arrivals and attempts are summed up, each in its hour', async (t) => {
  await sql`insert into tds_processing_totals (bucket, arrived, succeeded, failed) values
    (${inHour(2)}, 3, 4, 1), (${inHour(2)}, 0, 5, 0), (${inHour(1)}, 1, 0, 0), (${inHour(0)}, 0, 1, 2),
    (${inHour(30)}, 100, 100, 100)`.execute(db);
  const hours = await readActivity(db, 24);
  t.same(hours.at(-3), { hour: hourOf(2), arrivals: 3, completions: 9, failures: 1 });
  t.same(hours.at(-2), { hour: hourOf(1), arrivals: 1, completions: 0, failures: 0 });
  t.match(hours.at(-1), { arrivals: 0, completions: 1, failures: 2 });
  t.equal(
    hours.reduce((sum, hour) => sum + hour.completions, 0),
    10,
  );
});

t.test('an event counts as arrived from its commit on', async (t) => {
  await sql`insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id)
    select gen_random_uuid(), n, '10', 'contact.created', '1' from generate_series(1, 3) n`.execute(db);
  t.equal(
    (await readActivity(db, 2)).reduce((sum, { arrivals }) => sum + arrivals, 0),
    3,
  );
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
