/** Every command: its help, its answer as JSON, a wrong argument, and the same result over both transports. */
import { randomUUID } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import t, { type Test } from 'tap';
import { Value } from 'typebox/value';
import type { Io } from '../../src/cli/command.ts';
import { COMMANDS, run } from '../../src/cli/program.ts';
import { type Config, loadConfig } from '../../src/config.ts';
import { addAlert, addDeadLetter, apiOn, OPERATORS } from '../api/client.ts';
import { freePort } from '../free-port.ts';
import { testDatabase } from '../helper.ts';
import { arrive, registerWorker } from '../queue/engine.ts';

const database = await testDatabase(t);
const { db, pool, url: databaseUrl } = database;
const { api } = await apiOn(t, database, { operators: OPERATORS });
const tdsUrl = await api.listen({ host: '127.0.0.1', port: 0 });

const nobody = `http://127.0.0.1:${await freePort()}`;

const base: Config = { ...loadConfig({ NODE_ENV: 'test' }), databaseUrl };
const HTTP = { ...base, tdsUrl, tdsToken: 'admin-token' };
const LOCAL = { ...base, tdsUrl: undefined };

type Ran = { code: number; out: string; err: string };

/** Runs a command line as `tds` would, without a terminal. */
export async function tds(words: string[], config: Config = HTTP, over: Partial<Io> = {}): Promise<Ran> {
  let [out, err] = ['', ''];
  const io: Io = {
    config,
    out(text) {
      out += text;
    },
    err(text) {
      err += text;
    },
    tty: { in: false, out: false, err: false },
    ask: async () => false,
    sleep: async () => false,
    ...over,
  };
  return { code: await run(io, words), out, err };
}

/** What stands for the ids in the lines below, made anew for each command. */
const IDS: Record<string, () => Promise<string>> = {
  '<dead>': () => addDeadLetter(db),
  '<waiting>': async () => (await arrive(pool, [randomUUID()]))[0] as string,
  '<quarantined>': async () => {
    const id = (await arrive(pool, [randomUUID()]))[0] as string;
    await tds(['events', 'quarantine', id, '--reason', 'x']);
    return id;
  },
  '<discarded>': async () => {
    const id = await addDeadLetter(db);
    await tds(['dlq', 'discard', id, '--reason', 'x']);
    return id;
  },
  '<alert>': () => addAlert(db),
  '<name>': async () => `ann-${randomUUID()}`,
  '<token>': async () => JSON.parse((await tds(['token', 'create', randomUUID(), '-o', 'json'])).out).id,
  '<failed>': async () => {
    const { rows } = await pool.query<{ id: string }>(`
      insert into tds_workflows (name, organization_id, status, payload, result, progress, started_by)
      values ('SyncAll', '10', 'failed', '{}', '{"message":"no","tag":"NetworkError"}', 
        '{"module":null,"records":0,"records_total":null,"pages":0,"calls":0}', 'ann')
      returning id`);
    return rows[0]?.id ?? '';
  },
  '<run>': async () =>
    JSON.parse((await tds(['dlq', 'retry', await addDeadLetter(db), '--max-failures', '20', '-y', '-o', 'json'])).out)
      .id,
};

type Line = { words: string; route?: string; code?: number };

/** A command line for each command, and the route whose schema its JSON has. */
const LINES: Record<string, Line> = {
  status: { words: 'status', route: 'get /dashboard/metrics' },
  check: { words: 'check' },
  doctor: { words: 'doctor', route: 'get /dashboard/doctor', code: 1 },
  completeness: { words: 'completeness', route: 'get /dashboard/completeness' },
  'events list': { words: 'events list --status failed --since 2h', route: 'get /dashboard/recent-events' },
  'events show': { words: 'events show <waiting>' },
  'events why': { words: 'events why <waiting>', route: 'get /dashboard/events/{id}' },
  'events replay': { words: 'events replay <dead> --reason fixed', route: 'post /api/admin/events/{id}/replay' },
  'events quarantine': {
    words: 'events quarantine <waiting> --reason twice',
    route: 'post /api/admin/events/{id}/quarantine',
  },
  'events release': { words: 'events release <quarantined>', route: 'post /api/admin/events/{id}/release' },
  'dlq list': { words: 'dlq list --since 1h', route: 'get /dashboard/dead-letter' },
  'dlq groups': { words: 'dlq groups', route: 'get /dashboard/dead-letter/groups' },
  'dlq show': { words: 'dlq show <dead>', route: 'get /dashboard/dead-letter/{id}' },
  'dlq retry': { words: 'dlq retry <dead>', route: 'post /dashboard/dead-letter/{id}/retry' },
  'dlq discard': {
    words: 'dlq discard <dead> --reason garbage',
    route: 'post /dashboard/dead-letter/{id}/discard',
  },
  'dlq restore': { words: 'dlq restore <discarded>' },
  'dlq edit': {
    words: 'dlq edit <dead> --set /contact_name=Example --set /total=1.50 --reason typo',
    route: 'post /dashboard/dead-letter/{id}/edit',
  },
  'dlq runs': { words: 'dlq runs', route: 'get /dashboard/dead-letter/retries' },
  'dlq run': { words: 'dlq run <run>', route: 'get /dashboard/dead-letter/retries/{id}' },
  'dlq pause': { words: 'dlq pause <run>', route: 'post /dashboard/dead-letter/retries/{id}/pause' },
  'dlq resume': { words: 'dlq resume <run>', code: 1 },
  'dlq cancel': { words: 'dlq cancel <run>', route: 'post /dashboard/dead-letter/retries/{id}/cancel' },
  'queue stats': { words: 'queue stats', route: 'get /dashboard/queue-stats' },
  'queue pause': { words: 'queue pause --reason test', route: 'post /dashboard/queue/pause' },
  'queue resume': { words: 'queue resume', route: 'post /dashboard/queue/resume' },
  'queue process-pending': { words: 'queue process-pending', route: 'post /api/jobs/process-pending' },
  'queue release-stuck': { words: 'queue release-stuck --yes', route: 'post /dashboard/queue/release-stuck' },
  'queue purge': { words: 'queue purge --days 90 --yes', route: 'post /dashboard/queue/purge' },
  'queue rebuild': { words: 'queue rebuild --dry-run', route: 'post /dashboard/queue/rebuild' },
  'sync health': { words: 'sync health', route: 'get /dashboard/sync/health' },
  'sync overview': { words: 'sync overview', route: 'get /dashboard/sync/overview' },
  'sync events': { words: 'sync events --limit 20 --status failed', route: 'get /dashboard/sync/events' },
  'sync webhooks': { words: 'sync webhooks', route: 'get /dashboard/sync/webhooks' },
  'sync metrics': { words: 'sync metrics --period hour', route: 'get /dashboard/sync/metrics' },
  'sync timeline': { words: 'sync timeline --hours 2', route: 'get /dashboard/sync/timeline' },
  'sync errors': { words: 'sync errors --include-resolved', route: 'get /dashboard/sync/errors' },
  'sync performance': { words: 'sync performance', route: 'get /dashboard/sync/performance' },
  'sync resolve': { words: 'sync resolve <failed>', route: 'post /dashboard/sync/errors/{id}/resolve' },
  'alerts list': { words: 'alerts list', route: 'get /dashboard/alerts' },
  'alerts test': { words: 'alerts test', code: 1 },
  'alerts ack': { words: 'alerts ack <alert>', route: 'post /dashboard/alerts/{id}/acknowledge' },
  'workers list': { words: 'workers list', route: 'get /dashboard/workers' },
  'audit list': { words: 'audit list --since 7d --limit 5', route: 'get /dashboard/audit' },
  'token list': { words: 'token list', route: 'get /dashboard/tokens' },
  'token create': { words: 'token create <name> --role viewer --days 30' },
  'token revoke': { words: 'token revoke <token> --yes', route: 'post /dashboard/tokens/{id}/revoke' },
  'audit verify': { words: 'audit verify', route: 'get /dashboard/audit/verify' },
  export: { words: 'export dead_letters --format json' },
  'zoho connect': { words: 'zoho connect', code: 2 },
  'zoho check': { words: 'zoho check', code: 2 },
  'zoho quota': { words: 'zoho quota' },
  'zoho explain-signature': { words: 'zoho explain-signature --file package.json', code: 1 },
  'views refresh': { words: 'views refresh' },
  'migrate status': { words: 'migrate status' },
  'migrate up': { words: 'migrate up --yes' },
  'config show': { words: 'config show' },
  completion: { words: 'completion bash' },
};

const { paths } = (await api.inject({ url: '/docs/json', headers: { authorization: 'Bearer admin-token' } })).json();

async function withIds(words: string): Promise<string[]> {
  return Promise.all(words.split(' ').map(async (word) => (await IDS[word]?.()) ?? word));
}

/** The schema of a route's 200 or 202, as the API describes itself. */
function schemaOf(route: string): object {
  const [method = '', path = ''] = route.split(' ');
  const { responses } = paths[path][method];
  return responses[200].content['application/json'].schema;
}

// So that no list is empty.
await addDeadLetter(db);
await addAlert(db);
await registerWorker(pool, 3600);
await arrive(pool, [randomUUID()]);
await IDS['<run>']?.();
await pool.query(`insert into tds_zoho_quota (organization_id, day_limit, day_remaining) values ('10', 1000, 7)`);

t.test('every command has a line here', async (t) => {
  const without = COMMANDS.map(({ name }) => name).filter((name) => !name.startsWith('workflow '));
  t.same(Object.keys(LINES).toSorted(), without.toSorted());
});

for (const { name, args = [], reads } of COMMANDS) {
  t.test(`tds ${name}`, async (t) => {
    const words = name.split(' ');
    const help = await tds([...words, '--help']);
    t.match([help.code, help.err], [0, '']);
    t.match(help.out, /Examples:\n +.*tds /, 'with an example');

    const wrong = await tds([...words, ...args.map(() => 'x'), '--nonsense']);
    t.match([wrong.code, wrong.out], [2, ''], 'a wrong argument is exit code 2');
    t.match(wrong.err, /unknown option '--nonsense'[\s\S]*--help/);
    if (args[0]?.[0].startsWith('<')) t.match(await tds(words), { code: 2, err: /missing required argument/ });

    const line = LINES[name];
    if (line) await comparesBoth(t, line, reads ? ['jsonl', 'csv', 'table'] : []);
  });
}

async function comparesBoth(t: Test, { words, route, code = 0 }: Line, formats: string[]): Promise<void> {
  const shapes: unknown[] = [];
  for (const config of [HTTP, LOCAL]) {
    const ran = await tds([...(await withIds(words)), '-o', 'json'], config);
    t.equal(ran.code, code, ran.err);
    if (code !== 0) return;
    const data = JSON.parse(ran.out);
    if (route) t.same([...Value.Errors(schemaOf(route), data)], [], route);
    shapes.push(shapeOf(data));
    for (const format of formats)
      t.match(await tds([...(await withIds(words)), '-o', format], config), { code, out: /./ }, format);
  }
  t.same(shapes[0], shapes[1], 'the same over both transports');
}

/** Keys and kinds, without what differs from call to call. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.slice(0, 1).map(shapeOf);
  if (value === null || typeof value !== 'object') return value === null ? 'null' : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, of === null ? 'null' : shapeOf(of)]));
}

t.test('wrong words are told what was meant', async (t) => {
  t.match(await tds(['evnts', 'list']), { code: 2, err: /Did you mean events/ });
  t.match(await tds(['events', 'lst']), { code: 2, err: /Did you mean list/ });
  const cases: [string[], RegExp][] = [
    [['events', 'show', 'x'], /x is no id: it looks like/],
    [['events', 'list', '--since', 'yesterday'], /--since takes 30m, 2h/],
    [['events', 'list', '--limit', '0'], /--limit takes a whole number/],
    [['events', 'list', '-o', 'yaml'], /Allowed choices are table, json, jsonl, csv/],
    [['events', 'quarantine', randomUUID()], /needs --reason/],
    [['dlq', 'retry'], /say which: ids, --group/],
    [['dlq', 'retry', '--all', '--force', '--yes'], /--force needs --reason/],
    [['dlq', 'discard', '--all', '--yes'], /needs --reason/],
    [['dlq', 'discard', '--reason', 'x'], /say which: ids, --group/],
    [['dlq', 'edit', randomUUID()], /needs --reason/],
    [['dlq', 'edit', await addDeadLetter(db), '--reason', 'x', '--file', '/nowhere'], /cannot be read as JSON/],
    [['queue', 'purge'], /add --yes/],
    [['workflow', 'start', 'Reconcile', '--payload', 'x'], /JSON object/],
    [['completion', 'tcsh'], /bash, zsh, fish/],
  ];
  for (const [words, said] of cases) t.match(await tds(words), { code: 2, out: '', err: said }, words.join(' '));
});

t.test('what the API refuses is its own sentence, and exit code 1', async (t) => {
  t.match(await tds(['events', 'replay', randomUUID()]), { code: 1, out: '', err: /No event has this id/ });
  t.match(await tds(['queue', 'resume'], { ...HTTP, tdsToken: 'viewer-token' }), {
    code: 1,
    err: /needs the role operator/,
  });
  t.match(await tds(['status'], { ...HTTP, tdsToken: 'wrong-token' }), { code: 1, err: /OPERATOR_TOKENS/ });
  t.match(await tds(['status', '--url', nobody]), {
    code: 1,
    err: /No answer from http:.* \(ECONNREFUSED\)/,
  });
  t.match(await tds(['status', '--url', 'ftp://x']), { code: 2, err: /must look like/ });
});

t.test('workflows are listed, and an unknown one is not found', async (t) => {
  await pool.query('delete from tds_workflows');
  for (const config of [HTTP, LOCAL]) {
    t.match(await tds(['workflow', 'list', '-o', 'json'], config), { code: 0, out: '[]\n', err: '' });
    for (const verb of ['show', 'pause', 'resume', 'retry'])
      t.match(await tds(['workflow', verb, randomUUID()], config), { code: 1, err: /No workflow has this id/ }, verb);
  }
  const payload = '{"organization_id":"10","modules":["invoice"]}';
  t.match(await tds(['workflow', 'start', 'Nonsense', '--payload', payload], LOCAL), {
    code: 1,
    err: /Nonsense|workflow/,
  });
});

t.test('check has the exit codes and the bands of the operations guide', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue, tds_workers');
  const worker = `insert into tds_workers (worker_id, host, pid, expires_at, concurrency) values (gen_random_uuid(), 'a', 1, now() + interval '1 hour', 5)`;
  t.match(await tds(['check']), { code: 2, out: /^TDS CRITICAL - no worker is alive \|/ });
  await pool.query(worker);
  const ok = await tds(['check']);
  t.equal(ok.code, 0);
  t.match(
    ok.out,
    /^TDS OK - 0 pending, 0 dead letters \| pending=0;100;500 dead_letters=0;10;50 success_rate=100%;95:;90: processing_unchanged=0s;300;\n$/,
  );
  await pool.query('insert into tds_queue_counts (pending) values (99)');
  t.equal((await tds(['check'])).code, 0);
  await pool.query('insert into tds_queue_counts (pending) values (1)');
  t.match(await tds(['check']), { code: 1, out: /^TDS WARNING - pending 100 \|/ });
  await pool.query('insert into tds_queue_counts (pending) values (401)');
  t.match(await tds(['check']), { code: 2, out: /pending 501/ });
  await pool.query('insert into tds_queue_counts (pending, dead_letter) values (-501, 50)');
  t.match(await tds(['check']), { code: 1, out: /dead_letters 50/ });
  await pool.query('insert into tds_queue_counts (dead_letter) values (-50)');
  await pool.query('insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 89, 11)');
  t.match(await tds(['check']), { code: 2, out: /success_rate 89%/ });
  await pool.query('insert into tds_processing_totals (bucket, succeeded, failed) values (now(), 50, 0)');
  t.match(await tds(['check']), { code: 1, out: /success_rate 92.67%/ });
  await pool.query('delete from tds_processing_totals');
  await tds(['queue', 'pause', '--reason', 'test']);
  t.match(await tds(['check']), { code: 1, out: /paused by admin: test/ });
  await tds(['queue', 'resume']);
  await tds(['queue', 'pause', '--event-type', 'bill.*', '--reason', 'test']);
  t.match(await tds(['check']), { code: 1, out: /bill\.\* paused by admin: test/ });
  t.match(await tds(['queue', 'resume']), { code: 0, err: /Still bill\.\* paused by admin/ });
  await tds(['queue', 'resume', '--event-type', 'bill.*']);
  t.match(await tds(['check', '--url', nobody]), { code: 2, out: /^TDS CRITICAL - No answer/ });
  t.match(await tds(['check'], { ...HTTP, tdsToken: 'wrong-token' }), { code: 3, out: /^TDS UNKNOWN/ });
});

t.test('many dead letters are planned, asked for, and retried with a reason', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue');
  await addDeadLetter(db);
  await addDeadLetter(db);
  const plan = await tds(['dlq', 'retry', '--all', '--dry-run', '-o', 'json']);
  t.match(JSON.parse(plan.out), { count: 2, permanent: 0 });
  const terminal = { tty: { in: true, out: true, err: true } };
  let asked = '';
  const ask = async (question: string) => {
    asked = question;
    return false;
  };
  t.match(await tds(['dlq', 'retry', '--all'], HTTP, { ...terminal, ask }), { code: 1 });
  t.match(asked, /^Retry 2 dead letters from 2/);
  t.match(await tds(['dlq', 'runs', '-o', 'json']), { out: /^\[\n/ });
  const started = await tds(['dlq', 'retry', '--tag', 'TimeoutError', '--yes', '--reason', 'fixed', '-o', 'json']);
  t.match(JSON.parse(started.out), {
    status: 'running',
    total: 2,
    reason: 'fixed',
    selection: { filter: { error_tag: 'TimeoutError' } },
  });
});

t.test('a record is edited in place, or given whole, and every digit is kept', async (t) => {
  const record = '{"contact_id":"1","total":12345678901234567.10,"line_items":[{"rate":1}],"notes":"a"}';
  const id = await addDeadLetter(db, record);
  const sets = ['--set', '/line_items/0/rate=2.50', '/notes=a = b', '--reason', 'x'];
  const planned = await tds(['dlq', 'edit', id, ...sets, '--dry-run']);
  t.match(planned, {
    code: 0,
    out: /\/line_items\/0\/rate +1 +2.50[\s\S]*\/notes +a +a = b/,
    err: /Nothing was changed/,
  });
  t.match(await tds(['dlq', 'edit', id, '--set', '/nothing/here=1', '--reason', 'x']), {
    code: 2,
    err: /has no \/nothing/,
  });
  t.match(await tds(['dlq', 'edit', id, '--set', 'total=1', '--reason', 'x']), { code: 2, err: /takes \/path=value/ });
  const file = path.join(t.testdir({ 'record.json': record.replace('.10', '.25') }), 'record.json');
  const ran = await tds(['dlq', 'edit', id, '--file', file, '--reason', 'x', '-o', 'json']);
  const { queue_id } = JSON.parse(ran.out);
  const { rows } = await pool.query('select payload::text as payload from tds_inbox_payloads where event_id = $1', [
    queue_id,
  ]);
  t.same(rows, [{ payload: record.replace('.10', '.25') }]);
});

t.test('many are discarded after a question, and restored together', async (t) => {
  await pool.query('truncate tds_sync_queue, tds_inbox_events, tds_inbox_payloads, tds_dead_letter_queue');
  const ids = [await addDeadLetter(db), await addDeadLetter(db)];
  const words = ['dlq', 'discard', '--tag', 'TimeoutError', '--reason', 'garbage'];
  t.match(await tds([...words, '--dry-run', '-o', 'json']), { out: /"count": 2/ });
  t.match(await tds(words), { code: 2, err: /add --yes/ });
  t.match(JSON.parse((await tds([...words, '--yes', '-o', 'json'])).out), { discarded: 2, finished: true });
  t.equal(JSON.parse((await tds(['dlq', 'list', '--discarded', '-o', 'json'])).out).length, 2);
  t.equal((await tds(['dlq', 'restore', ...ids])).code, 0);
  t.equal(JSON.parse((await tds(['dlq', 'list', '-o', 'json'])).out).length, 2);
});

t.test('events why is one sentence, and what happened so far', async (t) => {
  const id = await addDeadLetter(db);
  await tds(['dlq', 'discard', id, '--reason', 'garbage']);
  const { out } = await tds(['events', 'why', id]);
  t.match(out, /^It waits for nothing: admin discarded it at .*\n {2}.* admin: dead_letter\.discard, discarded\n$/);
});

t.test('a signature is explained, and what connects to Zoho says what is missing', async (t) => {
  const { createHmac } = await import('node:crypto');
  const secret = 'a-secret-of-a-webhook';
  const body = '{"invoice":{}}';
  const file = path.join(t.testdir({ 'body.json': body }), 'body.json');
  const config = { ...HTTP, webhookSecrets: [secret] };
  const header = createHmac('sha256', secret).update(body).digest('hex');
  t.match(await tds(['zoho', 'explain-signature', '--file', file, '--header', header], config), {
    code: 0,
    out: /Verdict: The signature is right\.\n$/,
  });
  t.match(await tds(['zoho', 'explain-signature', '--file', file, '--header', 'x'], config), {
    code: 1,
    out: /Verdict/,
  });
  t.match(await tds(['zoho', 'explain-signature', '--file', '/nowhere'], config), { code: 2, err: /cannot be read/ });
  t.match(await tds(['zoho', 'connect']), { code: 2, out: /ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET are not set/ });
  t.match(await tds(['zoho', 'check', '--modules', 'x']), { code: 2, err: /x is not a module/ });
  t.match(await tds(['zoho', 'quota', '-o', 'json']), { code: 0, out: /"day_limit": 1000/ });
});

t.test('the account that works on the database is named in the audit log', async (t) => {
  const id = await addDeadLetter(db);
  await tds(['dlq', 'retry', id], LOCAL);
  const { operator } = await db
    .selectFrom('tds_audit_log')
    .select('operator')
    .where('target', '=', id)
    .executeTakeFirstOrThrow();
  t.notMatch(operator, /^(local|admin)$/);
  t.match(operator, /./);
});

t.test('numbers keep every digit, and what comes from outside cannot move the cursor', async (t) => {
  const id = await addDeadLetter(db, '{"total":12345678901234567.10}');
  t.match(await tds(['dlq', 'show', id, '-o', 'json']), { out: /"total": 12345678901234567\.10/ });
  await pool.query('update tds_dead_letter_queue set last_error = $1 where id = $2', ['\u001b[2Jgone\r\n=cmd()', id]);
  const table = await tds(['dlq', 'list']);
  t.notMatch(table.out, '\u001b[2J');
  t.match(await tds(['dlq', 'list', '-o', 'csv']), { out: /^id,event_type.*\r\n/ });
});

t.test('an export goes to a file of this account alone', async (t) => {
  const out = path.join(t.testdir(), 'failed.csv');
  for (const config of [HTTP, LOCAL]) {
    const ran = await tds(['export', '--failed-only', '--out', out, '-o', 'json'], config);
    t.equal(ran.code, 0, ran.err);
    t.match(JSON.parse(ran.out), { what: 'failed', bytes: statSync(out).size });
    t.match(readFileSync(out, 'utf8'), /^id,event_type,/);
    t.equal(statSync(out).mode & 0o777, 0o600);
  }
  t.match(await tds(['export', '--out', '-']), { code: 0, out: /^id,event_type,/ });
  t.match(await tds(['export', 'users']), { code: 2, err: /cannot be exported/ });
  t.match(await tds(['export', '--unmask'], { ...HTTP, tdsToken: 'viewer-token' }), { code: 1, err: /role admin/ });
});

t.test('--watch repeats until it is ended', async (t) => {
  let rounds = 0;
  const sleep = async (ms: number) => {
    t.equal(ms, 5000);
    rounds += 1;
    return rounds < 3;
  };
  const { out } = await tds(['queue', 'stats', '--watch', '5', '-o', 'jsonl'], HTTP, { sleep });
  t.equal(out.trim().split('\n').length, 3);
});

t.test('every command of the documents is one', async (t) => {
  const root = path.join(import.meta.dirname, '../..');
  const documents = ['DEPLOYMENT.md', ...readdirSync(path.join(root, 'docs')).map((name) => `docs/${name}`)];
  const texts = documents.map((name) => readFileSync(path.join(root, name), 'utf8'));
  const examples = COMMANDS.flatMap(({ examples }) => examples);
  const lines = [...texts.flatMap((text) => text.match(/^tds .*$/gm) ?? []), ...examples];
  t.ok(lines.length > 60);
  const yes = { tty: { in: true, out: true, err: true }, ask: async () => true };
  for (const line of lines.filter(
    (line) => line.startsWith('tds ') && !/completion|migrate|config|views|zoho/.test(line),
  )) {
    const command = line.replace(/^tds /, '').replace(/ (\||>|\|\|) .*$/, '');
    const words = [...command.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '');
    const { code, err } = await tds([...words, '--url', nobody], HTTP, yes);
    t.match(err + (words[0] === 'check' ? 'No answer' : ''), /No answer/, `${line}: ${code}`);
  }
});
