import { sql } from 'kysely';
import t from 'tap';
import { EVENTS_PER_PAGE } from '../../src/monitor/find-events.ts';
import { addDeadLetter, testApi } from '../api/client.ts';

type Row = { id: string; entity_id: string | null; status: string };

const { api, db } = await testApi(t);

t.beforeEach(async () => {
  await db.deleteFrom('tds_dead_letter_queue').execute();
  await db.deleteFrom('tds_sync_queue').execute();
});

t.test('an event is found by its id, in either case, whatever its age', async (t) => {
  await addEvents(1, '1');
  const { id } = await db.selectFrom('tds_sync_queue').select('id').executeTakeFirstOrThrow();
  await addEvents(3, '77');
  for (const q of [id, id.toUpperCase()]) t.same((await find(`q=${q}`)).ids, [id], q);
});

t.test('events are found by their entity and by a part of it, newest first', async (t) => {
  await addEvents(2, '460000000026049');
  await addEvents(1, '460000000098005');
  const { rows } = await find('q=26049');
  t.same(
    rows.map((row) => row.entity_id),
    ['460000000026049', '460000000026049'],
  );
  t.equal((await find('q=460000')).rows.length, 3);
  t.equal((await find('q=nowhere')).rows.length, 0);
});

t.test('wildcards and quotes are taken literally', async (t) => {
  await addEvents(1, "a%b'c");
  t.equal((await find(`q=${encodeURIComponent("%b'")}`)).rows.length, 1);
  t.equal((await find('q=%25%25')).rows.length, 0);
});

t.test('a status narrows the search', async (t) => {
  await addDeadLetter(db);
  await addEvents(1, '1');
  t.same((await find('q=1&status_filter=failed')).statuses, ['dead_letter']);
  t.same((await find('q=1&status_filter=pending')).statuses, ['pending']);
});

t.test('pages neither repeat nor leave out an event', async (t) => {
  await addEvents(5, '42');
  await sql`update tds_sync_queue set queued_at = '2026-01-01T00:00:00.123456Z'`.execute(db);
  const seen: string[] = [];
  let cursor: string | null = '';
  while (cursor !== null) {
    const page = await find(`q=42&limit=2${cursor && `&cursor=${cursor}`}`);
    seen.push(...page.ids);
    cursor = page.next;
  }
  t.equal(seen.length, 5);
  t.equal(new Set(seen).size, 5);
});

t.test('a page ends after so many events, empty, and leads on to the older ones', async (t) => {
  await addEvents(1, 'old', '2025-01-01T00:00:00Z');
  await addEvents(EVENTS_PER_PAGE, 'new');
  const first = await find('q=old');
  t.same(first.ids, []);
  t.ok(first.next);
  const second = await find(`q=old&cursor=${first.next}`);
  t.equal(second.rows.length, 1);
  t.equal(second.next, null);
});

for (const query of ['', 'q=', 'q=%00', 'q=1&cursor=x', 'q=1&status_filter=broken', `q=${'1'.repeat(201)}`]) {
  t.test(`?${query.slice(0, 30)} is refused with a problem`, async (t) => {
    const answer = await api.inject(`/dashboard/find-events?${query}`);
    t.equal(answer.statusCode, 400);
    t.match(answer.json().code, /^invalid_/);
  });
}

async function find(query: string) {
  const answer = await api.inject(`/dashboard/find-events?${query}`);
  const rows = answer.json() as Row[];
  const next = (answer.headers['x-next-cursor'] as string | undefined) ?? null;
  return { rows, next, ids: rows.map((row) => row.id), statuses: rows.map((row) => row.status) };
}

async function addEvents(count: number, entityId: string, at = '2026-01-01T00:00:00Z'): Promise<void> {
  await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, entity_id, queued_at)
    select id, 1, '10', 'contact.created', ${entityId}, ${at}::timestamptz + n * interval '1 microsecond'
    from (select gen_random_uuid() as id, n from generate_series(1, ${count}::int) n) events`.execute(db);
}
