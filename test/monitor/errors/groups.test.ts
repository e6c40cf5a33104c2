import { sql } from 'kysely';
import t from 'tap';
import { TaggedError } from '../../../src/errors.ts';
import type { FailureGroup } from '../../../src/monitor/errors/groups.ts';
import { testApi } from '../../api/client.ts';
import { attemptEach } from './failing.ts';

const { api, db, pool } = await testApi(t);
t.beforeEach(() =>
  pool.query(`truncate tds_sync_queue, tds_sync_logs, tds_dead_letter_queue, tds_failures, tds_failure_changes,
    tds_failure_groups, tds_failure_hours, tds_inbox_events, tds_inbox_payloads`),
);

async function groups(query = ''): Promise<FailureGroup[]> {
  return (await api.inject(`/dashboard/errors${query}`)).json() as FailureGroup[];
}

const numbered = (count: number) => Array.from({ length: count }, (_, n) => `${n}`);

function answered(status: number, body: object): Error {
  return Object.assign(new Error(`answered ${status}`), { status, response: { body } });
}

async function failInFourWays(count: number): Promise<void> {
  await attemptEach(pool, numbered(count), async ({ entityId }, { trx }) => {
    const n = Number(entityId);
    if (n % 4 === 0) throw new TaggedError('ValidationError', `no contact with id ${n} for "${n}@example.com"`);
    if (n % 4 === 1) throw answered(503, { message: 'down for maintenance' });
    if (n % 4 === 2) throw new TypeError(`cannot read line ${n}`);
    await sql`select ${`${n} apples`}::numeric`.execute(trx);
  });
}

t.test('a hundred failing events of four causes are four groups', async (t) => {
  await failInFourWays(100);
  const found = await groups();
  t.same(
    found.map(({ count, affected_entities, state, trend }) => [count, affected_entities, state, trend]),
    Array(4).fill([25, 25, 'open', 'new']),
  );
  t.same(found.map(({ error_tag, message }) => `${error_tag}: ${message}`).toSorted(), [
    'ServiceUnavailableError: answered …',
    'UnknownError: cannot read line …',
    'ValidationError: invalid input syntax for type numeric: …',
    'ValidationError: no contact with id … for …',
  ]);
  for (const { place } of found) t.match(place, /groups\.test\.ts/);
});

t.test('a group says since when, who threw it, a sample with its causes, and what to do', async (t) => {
  const [id] = await attemptEach(pool, ['7'], () => {
    throw answered(422, {
      errors: [{ code: 'invalid', source: { pointer: '/data/attributes/email' }, detail: 'Jane is bad' }],
    });
  });
  const [group] = await groups();
  t.match(group, {
    error_tag: 'ValidationError',
    handler: 'crm',
    count: 1,
    suggestion: { retry: false, why: /rejected again/ },
    sample: { event_id: id, entity_id: '7', attempt: 1, handler: 'crm', http_status: 422, stack: /groups\.test\.ts/ },
  });
  t.equal(group?.first_seen_at, group?.last_seen_at);
  t.equal(group?.failures_by_hour.length, 24);
  t.equal(group?.failures_by_hour.at(-1), 1);
  const [cause] = group?.sample?.causes as { body: string; status: number }[];
  t.same(JSON.parse(cause?.body ?? ''), {
    errors: [{ code: 'invalid', source: { pointer: '/data/attributes/email' }, detail: '… is bad' }],
  });
});

t.test('one group lists its failures, the latest first; an unknown one is not found', async (t) => {
  const ids = await attemptEach(pool, ['1', '2', '3'], () => Promise.reject(new Error('no')));
  const [{ fingerprint = '' } = {}] = await groups();
  const one = (await api.inject(`/dashboard/errors/${fingerprint}?limit=2`)).json();
  t.same(
    one.failures.map(({ event_id }: { event_id: string }) => event_id),
    [ids[2], ids[1]],
  );
  t.equal((await api.inject('/dashboard/errors/0000000000000000')).statusCode, 404);
  t.equal((await api.inject('/dashboard/errors/x')).statusCode, 400);
});

t.test('pages follow each other and together have every group once', async (t) => {
  await failInFourWays(8);
  const first = await api.inject('/dashboard/errors?limit=3');
  const cursor = first.headers['x-next-cursor'];
  const second = await api.inject(`/dashboard/errors?limit=3&cursor=${cursor}`);
  const all = [...first.json(), ...second.json()].map(({ fingerprint }) => fingerprint);
  t.equal(new Set(all).size, 4);
  t.equal(all.length, 4);
  t.notOk(second.headers['x-next-cursor']);
  t.equal((await api.inject('/dashboard/errors?cursor=x')).json().code, 'invalid_cursor');
});

t.test('an attempt that succeeds or is given back is no failure', async (t) => {
  await attemptEach(pool, ['1'], async () => {});
  await attemptEach(pool, ['2'], () => Promise.reject(new TaggedError('RateLimitError', 'not so fast')));
  t.same(await groups(), []);
});

t.test('a dead letter has the fingerprint of the failure that killed it', async (t) => {
  await attemptEach(pool, ['1'], () => Promise.reject(new TaggedError('ValidationError', 'no')));
  const [{ fingerprint } = {}] = await groups();
  const letters = (await api.inject('/dashboard/dead-letter/groups')).json().groups;
  t.match(letters, [{ key: fingerprint, count: 1 }]);
  t.equal((await api.inject(`/dashboard/dead-letter/groups/${fingerprint}`)).json().ids.length, 1);
});

t.test('an operator resolves, ignores with a reason and reopens; each decision is audited', async (t) => {
  await attemptEach(pool, ['1'], () => Promise.reject(new Error('no')));
  const [{ fingerprint } = {}] = await groups();
  const decide = async (kind: string, payload?: object) => {
    const answer = await api.inject({
      method: 'POST',
      url: `/dashboard/errors/${fingerprint}/${kind}`,
      ...(payload && { payload }),
    });
    return [answer.statusCode, answer.json().state ?? answer.json().code];
  };
  t.same(await decide('reopen'), [409, 'already_open']);
  t.same(await decide('resolve'), [200, 'resolved']);
  t.same(await decide('resolve'), [409, 'already_resolved']);
  t.same(await decide('ignore'), [400, 'invalid_request']);
  t.same(await decide('ignore', { reason: ' ' }), [400, 'invalid_request']);
  t.same(await decide('ignore', { reason: 'a test system' }), [200, 'ignored']);
  t.match(await groups('?state=ignored'), [
    { state: 'ignored', ignored_by: 'local', ignore_reason: 'a test system', resolved_at: null },
  ]);
  t.same(await groups('?state=open'), []);
  t.same(await decide('reopen'), [200, 'open']);
  const { rows } = await pool.query(`select action, result from tds_audit_log where target = $1 order by id`, [
    fingerprint,
  ]);
  t.same(
    rows.map(({ action, result }) => `${action} ${result}`),
    [
      'error.reopen already',
      'error.resolve decided',
      'error.resolve already',
      'error.ignore decided',
      'error.reopen decided',
    ],
  );
});

t.test('the failure is undone with the end it belongs to', async (t) => {
  await db.transaction().execute(async (trx) => {
    await sql`alter table tds_failure_changes add constraint refuse check (false) not valid`.execute(trx);
  });
  t.teardown(() => pool.query('alter table tds_failure_changes drop constraint refuse'));
  await attemptEach(pool, ['1'], () => Promise.reject(new Error('no'))).catch(() => {});
  const { rows } = await pool.query(
    `select (select count(*) from tds_failures)::int as failures, (select count(*) from tds_sync_logs)::int as logs`,
  );
  t.same(rows, [{ failures: 0, logs: 0 }]);
});
