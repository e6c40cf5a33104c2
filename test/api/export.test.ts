import { randomUUID } from 'node:crypto';
import t from 'tap';
import { exportRows } from '../../src/monitor/export/rows.ts';
import { arrive } from '../queue/engine.ts';
import { addDeadLetter, as, OPERATORS, testApi } from './client.ts';

const { api, db, pool } = await testApi(t, { operators: OPERATORS });

t.beforeEach(() =>
  pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_sync_logs'),
);

const get = (query: string, operator = 'viewer') =>
  api.inject({ url: `/dashboard/export?${query}`, headers: as(operator) });
const lines = (text: string) => text.trimEnd().split(/\r?\n/);
const LETTER =
  '{"contact_id":"1","customer_name":"Jane Doe","note":"=ask jane@example.com, 07701234567","total":-10.10}';

t.test('CSV has the columns of the runbook, in its order', async (t) => {
  const id = await addDeadLetter(db, LETTER);
  const answer = await get('what=events');
  t.match(answer.headers, { 'content-type': /text\/csv/, 'content-disposition': /tds-events\.csv/ });
  const [header = '', row = ''] = lines(answer.body);
  const columns = header.split(',');
  t.same(
    [1, 3, 7, 8, 9].map((n) => columns[n]),
    ['event_type', 'attempt_count', 'error_message', 'idempotency_key', 'dedupe_key'],
  );
  t.same(row.split(',').slice(0, 5), [id, 'contact.created', '1', '3', 'dead_letter']);
  t.match(row, `too slow,tds-${id},,TimeoutError`);
});

t.test(
  'a comma or a line end in an error moves no column for cut and adds no line for wc, and JSON keeps it',
  async (t) => {
    const ids = [await addDeadLetter(db, LETTER), await addDeadLetter(db, LETTER)];
    await pool.query('update tds_sync_queue set error_message = $1', ['no JSON, at "1"\r\nline 2\nline 3']);
    const { body } = await get('what=failed');
    const rows = body.trimEnd().split('\n').slice(1);
    t.equal(rows.length, 2);
    t.same(
      rows.map((row) => row.split(',')[7]),
      ids.map(() => '"no JSON; at ""1"" line 2 line 3"'),
    );
    t.same(rows.map((row) => row.split(',')[8]).sort(), ids.map((id) => `tds-${id}`).sort());
    const [event] = (await get('what=failed&format=json')).json();
    t.equal(event.error_message, 'no JSON, at "1"\r\nline 2\nline 3');
  },
);

t.test('personal data is redacted, unless an admin asks for it, and that is audited', async (t) => {
  await addDeadLetter(db, LETTER);
  for (const format of ['csv', 'json', 'jsonl']) {
    const { body } = await get(`what=dead_letters&format=${format}`);
    t.match(body, '[REDACTED_EMAIL]');
    t.match(body, '[REDACTED_PHONE]');
    t.match(body, '-10.10', 'with every digit');
    t.notMatch(body, /jane@|07701234567|Jane Doe/);
    t.match((await get(`what=dead_letters&format=${format}&unmask=true`, 'admin')).body, /jane@example\.com/);
  }
  t.match((await get('unmask=true', 'operator')).json(), {
    status: 403,
    code: 'forbidden',
    detail: /needs the role admin/,
  });
  const audit = db.selectFrom('tds_audit_log').select(['operator', 'result', 'detail']).where('action', '=', 'export');
  t.match(await audit.orderBy('id', 'desc').limit(2).execute(), [
    { operator: 'operator', result: 'denied' },
    { operator: 'admin', result: 'exported', detail: { what: 'dead_letters', unmask: true } },
  ]);
});

t.test('runs of workflows are exported with payload and result, redacted', async (t) => {
  for (let n = 0; n < 45; n += 1)
    await pool.query(
      `insert into tds_workflows (name, organization_id, status, payload, progress, result, started_by, created_at)
       values ('Reconcile', '10', 'failed', '{"modules":["invoice"]}', '{}', '{"message":"asked jane@example.com"}', 'ann',
         now() - $1::int / 3 * interval '1 minute')`,
      [n],
    );
  const { body } = await get('what=runs&format=jsonl');
  const runs = lines(body).map((line) => JSON.parse(line));
  t.equal(new Set(runs.map(({ id }) => id)).size, 45, 'each once, also those of one moment');
  t.match(runs[0], {
    name: 'Reconcile',
    payload: { modules: ['invoice'] },
    result: { message: 'asked [REDACTED_EMAIL]' },
  });
  t.match((await get('what=runs')).body, /^id,name,organization_id,status,started_by,/);
  const since = new Date(Date.now() - 5 * 60_000).toISOString();
  t.ok(lines((await get(`what=runs&since=${since}`)).body).length < 45);
  await pool.query('truncate tds_workflows cascade');
});

t.test('each kind has its rows, once', async (t) => {
  const waiting = await arrive(
    pool,
    Array.from({ length: 1201 }, () => randomUUID()),
  );
  await pool.query(`update tds_sync_queue set status = 'retry', error_message = 'x' where id = $1`, [waiting[0]]);
  const dead = await addDeadLetter(db);
  const ids = async (what: string) => {
    const rows = lines((await get(`what=${what}&format=jsonl`)).body).map((line) => JSON.parse(line).id);
    t.equal(new Set(rows).size, rows.length);
    return rows;
  };
  t.equal((await ids('events')).length, 1202);
  t.equal((await ids('pending')).length, 1201);
  t.same((await ids('failed')).toSorted(), [waiting[0], dead].toSorted());
  t.same(await ids('dead_letters'), [dead]);
});

t.test('a time window, JSON, logs, and an empty export', async (t) => {
  const [old = '', young = ''] = await arrive(pool, ['1', '2']);
  await pool.query(`update tds_sync_queue set queued_at = now() - interval '40 days' where id = $1`, [old]);
  const month = new Date(Date.now() - 30 * 86_400_000).toISOString();
  t.match((await get(`format=json&before=${month}`)).json(), [{ id: old }]);
  t.match((await get(`format=json&since=${month}`)).json(), [{ id: young }]);
  t.same((await get('format=json&what=dead_letters')).json(), []);
  for (let n = 0; n < 3; n++)
    await pool.query(`insert into tds_sync_logs (queue_id, attempt, status, error_message)
      select gen_random_uuid(), 1, 'retry', 'ask jane@example.com' from generate_series(1, 400)`);
  const logs = (await get('what=logs&format=json')).json();
  t.equal(logs.length, 1200);
  t.match(logs[0], { status: 'retry', error_message: 'ask [REDACTED_EMAIL]' });
});

t.test('the audit log is for operators, and a wrong request is refused before anything is sent', async (t) => {
  t.equal((await get('what=audit')).statusCode, 403);
  t.match((await get('what=audit&format=json', 'operator')).json()[0], { operator: /./, action: /./ });
  for (const query of ['what=users', 'format=xml', 'since=yesterday', 'since=0000-01-01T00:00:00Z', 'unmask=perhaps'])
    t.equal((await get(query)).statusCode, 400, query);
});

t.test('a purge goes on beside an export, which holds no snapshot', async (t) => {
  await arrive(
    pool,
    Array.from({ length: 1500 }, () => randomUUID()),
  );
  const seen = new Set<unknown>();
  for await (const row of exportRows(db, 'events', {})) {
    t.notOk(seen.has(row.id) && row.id);
    seen.add(row.id);
    if (seen.size !== 100) continue;
    const { rows } = await pool.query(
      "select from pg_stat_activity where datname = current_database() and backend_xmin is not null and backend_type = 'client backend' and pid <> pg_backend_pid()",
    );
    t.equal(rows.length, 0, 'nothing that could hold back vacuum');
    await pool.query(
      'delete from tds_sync_queue where id in (select id from tds_sync_queue order by queued_at, id offset 1200)',
    );
    await arrive(pool, ['new']);
  }
  t.equal(seen.size, 1200, 'what was deleted meanwhile, or arrived, is left out');
});

t.test('no time limit of ten seconds, as other routes have it, cuts an export in the middle', async (t) => {
  const limits: unknown[] = [];
  const { setTimeout } = globalThis;
  t.teardown(() => Object.assign(globalThis, { setTimeout }));
  const noted = (work: () => void, ms: number) => {
    limits.push(ms);
    return setTimeout(work, ms);
  };
  Object.assign(globalThis, { setTimeout: Object.assign(noted, setTimeout) });
  await api.inject('/dashboard/whoami');
  t.same(limits, [10_000], 'the limit of other routes');
  limits.length = 0;
  t.equal((await get('what=events')).statusCode, 200);
  t.equal(limits[0], 86_400_000);
});
