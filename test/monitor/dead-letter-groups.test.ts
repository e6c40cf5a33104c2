import { sql } from 'kysely';
import t from 'tap';
import type { DeadLetterGroup } from '../../src/monitor/dead-letter-groups.ts';
import { addDeadLetter, testApi } from '../api/client.ts';

const { api, db } = await testApi(t);

t.beforeEach(async () => {
  await db.deleteFrom('tds_dead_letter_queue').execute();
  await db.deleteFrom('tds_sync_queue').execute();
});

t.test('without dead letters there is no group', async (t) => {
  t.same(await groups(), { letters: 0, groups: [] });
});

t.test('messages that differ in ids, numbers and quoted values only are one cause', async (t) => {
  const alike = [
    ['no contact with id 460000000026049 (attempt 3)', 'no contact with id 460000000098005 (attempt 1)'],
    ['request 0193a5e2-7b1c-7000-8000-3f6d2c9b1a04 failed', 'request fdfafbbb-abcd-4bcd-abcd-abcdefabcdef failed'],
    ['key (number)=("INV-1") exists', 'key (number)=("RE 2026/7, draft") exists'],
    ["invoice 'A' isn't open", "invoice 'B b' isn't open"],
    ['connect ETIMEDOUT 10.0.0.1:5432', 'connect ETIMEDOUT 192.168.100.22:6543'],
  ];
  for (const messages of alike) for (const message of messages) await add(message);
  const { groups: found } = await groups();
  t.same(
    found.map((group) => group.count),
    alike.map(() => 2),
  );
  t.ok(found.some(({ message }) => message === 'no contact with id … (attempt …)'));
  t.ok(found.some(({ message }) => message === "invoice … isn't open"));
});

t.test('another tag, another kind or other words are another cause', async (t) => {
  await add('not found');
  await add('not found', { error_tag: 'ValidationError' });
  await add('not found', { kind: 'quarantined' });
  await add('not there');
  t.equal((await groups()).groups.length, 4);
});

t.test('long messages are one cause although their values differ in length', async (t) => {
  const tail = ' because the other side never answered'.repeat(30);
  await add(`request "1"${tail}`);
  await add(`request "${'1'.repeat(90)}"${tail}`);
  t.equal((await groups()).groups.length, 1);
});

t.test('a group says how many, since when, until when, what and which', async (t) => {
  await add('row 1', { moved_to_dlq_at: '2026-01-01T00:00:00Z' });
  const ids = [];
  for (const day of [2, 3, 4]) ids.push(await add(`row ${day}`, { moved_to_dlq_at: `2026-01-0${day}T00:00:00Z` }));
  await add('other');
  const answer = await groups();
  t.equal(answer.letters, 5);
  const [largest] = answer.groups;
  t.match(largest, { kind: 'failed', error_tag: 'TimeoutError', message: 'row …', count: 4, example_message: 'row 4' });
  t.same(largest?.example_ids, ids.reverse());
  t.same(largest?.event_types, ['contact.created']);
  t.equal(largest?.first_seen_at, '2026-01-01T00:00:00.000Z');
  t.equal(largest?.last_seen_at, '2026-01-04T00:00:00.000Z');
});

t.test('the ids of a group come oldest first, without those that are closed', async (t) => {
  const newer = await add('row 2', { moved_to_dlq_at: '2026-01-02T00:00:00Z' });
  const older = await add('row 1', { moved_to_dlq_at: '2026-01-01T00:00:00Z' });
  await add('row 3', { resolved_at: '2026-01-03T00:00:00Z' });
  await add('other');
  const { groups: found } = await groups();
  const key = found.find(({ message }) => message === 'row …')?.key;
  t.same((await api.inject(`/dashboard/dead-letter/groups/${key}`)).json(), { key, ids: [older, newer] });
});

t.test('an unknown key has no ids, a malformed one is refused', async (t) => {
  t.same((await api.inject('/dashboard/dead-letter/groups/0000000000000000')).json().ids, []);
  t.equal((await api.inject('/dashboard/dead-letter/groups/x')).statusCode, 400);
});

type Changes = { error_tag?: string; kind?: 'quarantined'; moved_to_dlq_at?: string; resolved_at?: string };

async function add(last_error: string, changes: Changes = {}): Promise<string> {
  const id = await addDeadLetter(db);
  await db
    .updateTable('tds_dead_letter_queue')
    .set({ last_error, ...changes })
    .where('id', '=', id)
    .execute();
  return id;
}

type Groups = { letters: number; groups: DeadLetterGroup[] };

async function groups(): Promise<Groups> {
  return (await api.inject('/dashboard/dead-letter/groups')).json() as Groups;
}

t.test(
  'ten thousand letters with the longest messages are grouped well within the time limit of a statement',
  async (t) => {
    await sql`
    insert into tds_sync_queue (id, entity_key, organization_id, event_type, status, attempt_count, error_tag, error_message)
    select id, n, '10', 'contact.created', 'dead_letter', 3, 'UnknownError', repeat(chr(97 + n % 20), 2000)
    from (select gen_random_uuid() as id, n from generate_series(1, 10001) n) letters`.execute(db);
    const answer = await groups();
    t.equal(answer.letters, 10_000);
    t.equal(answer.groups.length, 20);
  },
);
